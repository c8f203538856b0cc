#include "core/serving/recent_versions.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

constexpr absl::Duration kFreshFor = absl::Milliseconds(20);

// Answers what it is told to. Thread-compatible.
class StubLoader : public ModelLoader {
 public:
  absl::StatusOr<ModelVersion> Resolve(const ModelVersion&) override { return answer; }
  int64_t changes() const override { return changes_made; }
  absl::StatusOr<LoadedModel> Load(const ModelVersion&) override {
    return absl::UnimplementedError("nothing is loaded here");
  }

  absl::StatusOr<ModelVersion> answer = ModelVersion{"m", 1};
  int64_t changes_made = 0;
};

class RecentVersionsTest : public testing::Test {
 protected:
  // The version that the newest of "m" is known to be; 0: it has to be asked for.
  int64_t Known() {
    const std::optional<ModelVersion> known = recent_.Find({"m", 0});
    return known.has_value() ? known->version : 0;
  }
  // Asks for it; 0 for an error.
  int64_t Look() {
    const absl::StatusOr<ModelVersion> version = recent_.Look({"m", 0});
    return version.ok() ? version->version : 0;
  }
  void Answer(int64_t version) { loader_.answer = ModelVersion{"m", version}; }

  StubLoader loader_;
  FakeClock clock_;
  RecentVersions recent_{kFreshFor, &loader_, &clock_};
};

TEST_F(RecentVersionsTest, AnAnswerHoldsForAWhile) {
  EXPECT_EQ(Known(), 0);
  EXPECT_EQ(Look(), 1);
  Answer(2);
  clock_.Advance(kFreshFor);
  EXPECT_EQ(Known(), 1);
  EXPECT_FALSE(recent_.Find({"m", 1}).has_value()) << "it is another question";
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Known(), 0);
  EXPECT_EQ(Look(), 2);
  EXPECT_EQ(Known(), 2);
}

TEST_F(RecentVersionsTest, OneAsksAndTheOthersGetTheOldAnswer) {
  EXPECT_EQ(Look(), 1);
  Answer(2);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Known(), 0) << "the one who asks";
  EXPECT_EQ(Known(), 1);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Known(), 1) << "the registry stalls";
  EXPECT_EQ(Look(), 2);
  EXPECT_EQ(Known(), 2);
}

TEST_F(RecentVersionsTest, WhatThisProcessChangesIsSeenAtOnce) {
  EXPECT_EQ(Look(), 1);
  Answer(2);
  ++loader_.changes_made;
  EXPECT_EQ(Known(), 0);
  EXPECT_EQ(Known(), 0) << "nobody gets the old answer";
  EXPECT_EQ(Look(), 2);
  EXPECT_EQ(Known(), 2);
}

TEST_F(RecentVersionsTest, WhatIsNotThereHasToBeAskedForEachTime) {
  EXPECT_EQ(Look(), 1);
  loader_.answer = absl::NotFoundError("there is no model 'm'");
  EXPECT_EQ(Look(), 0);
  EXPECT_EQ(Known(), 0);
  Answer(2);
  EXPECT_EQ(Look(), 2);
  EXPECT_EQ(Known(), 2);
}

TEST_F(RecentVersionsTest, ARegistryThatCannotBeReadMeansWhatItMeantBefore) {
  loader_.answer = absl::UnavailableError("cannot list the folder");
  EXPECT_EQ(Look(), 0) << "nothing is known";
  Answer(1);
  EXPECT_EQ(Look(), 1);
  loader_.answer = absl::UnavailableError("cannot list the folder");
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Look(), 1);
  EXPECT_EQ(Known(), 1);
  ++loader_.changes_made;
  EXPECT_EQ(Look(), 0) << "it may be another one now";
}

TEST_F(RecentVersionsTest, AnEmptyNameIsTheOneThatItMeantLast) {
  EXPECT_EQ(recent_.WithName({"", 0}).name, "");
  EXPECT_TRUE(recent_.Look({"", 0}).ok());
  EXPECT_EQ(recent_.WithName({"", 0}), (ModelVersion{"m", 0}));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(recent_.WithName({"", 0}), (ModelVersion{"m", 0})) << "however long ago";
  loader_.answer = absl::UnavailableError("cannot list the folder");
  ++loader_.changes_made;
  EXPECT_FALSE(recent_.Look({"", 0}).ok());
  EXPECT_EQ(recent_.WithName({"", 0}), (ModelVersion{"m", 0})) << "nothing else is known";
  EXPECT_EQ(recent_.WithName({"other", 3}), (ModelVersion{"other", 3}));
}

}  // namespace
}  // namespace cytopress
