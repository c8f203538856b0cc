#include "core/serving/model_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "tests/core/serving/model_host_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(ModelHostTest, LoadsOnceForAllWhoWait) {
  Make(2);
  loader_.Hold(true);
  const auto first = Ask("a");
  const auto second = Ask("a");
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 1));
  const auto third = Ask("a");
  EXPECT_FALSE(first->IsSet());
  loader_.Hold(false);
  ASSERT_TRUE(first->Get().ok());
  EXPECT_EQ(*second->Get(), *first->Get());
  EXPECT_EQ(*third->Get(), *first->Get());
  EXPECT_EQ(loader_.loads("a@1"), 1);
  EXPECT_EQ((*first->Get())->version, (ModelVersion{"a", 1}));
}

TEST_F(ModelHostTest, WhoWaitsInVainIsTold) {
  Make(2);
  loader_.Hold(true);
  const auto ask = [this](WaitLimits limits) {
    auto answer = std::make_shared<Answer>();
    EXPECT_EQ(host_->Acquire(
                  {"a", 1},
                  [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); },
                  std::move(limits)),
              nullptr);
    return answer;
  };
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  const absl::Duration soon = clock_.Steady() + absl::Seconds(1);
  const auto patient = ask({});
  const auto hasty = ask({soon, nullptr});
  const auto cancelled = ask({absl::InfiniteDuration(), gone});
  host_->DropWaiting();
  EXPECT_FALSE(hasty->IsSet() || cancelled->IsSet());
  clock_.Advance(absl::Seconds(1));
  *gone = true;
  host_->DropWaiting();
  EXPECT_EQ(hasty->Get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(cancelled->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(patient->IsSet());
  loader_.Hold(false);
  EXPECT_TRUE(patient->Get().ok());
}

TEST_F(ModelHostTest, WhoWaitsInVainIsToldByTheHostItself) {
  Make(1);
  const auto busy = Ask("a");
  ASSERT_TRUE(busy->Get().ok());
  const auto hasty = std::make_shared<Answer>();
  EXPECT_EQ(
      host_->Acquire({"b", 1},
                     [hasty](absl::StatusOr<ModelHandle> model) { hasty->Set(std::move(model)); },
                     {clock_.Steady() + absl::Seconds(1), nullptr}),
      nullptr);
  clock_.Advance(absl::Seconds(5));
  Ask("c");  // wakes the host, which would look again without it, too
  EXPECT_EQ(hasty->Get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(loader_.loads("b@1"), 0);
}

TEST_F(ModelHostTest, AnswersFromMemoryAtOnce) {
  Make(2);
  ASSERT_EQ(Use("a"), absl::OkStatus());
  const ModelHandle handle =
      host_->Acquire({"a", 1}, [](const absl::StatusOr<ModelHandle>&) { FAIL(); });
  EXPECT_NE(handle, nullptr);
  EXPECT_EQ(loader_.loads("a@1"), 1);
}

TEST_F(ModelHostTest, NobodyMakesRoomForAVersionThatWasOvertaken) {
  Make(3);
  EXPECT_EQ(Answering(1), 1);
  ASSERT_EQ(Use("b"), absl::OkStatus());
  loader_.Hold(true);
  const auto other = Ask("c");
  ASSERT_TRUE(loader_.AwaitLoads("c@1", 1));
  EXPECT_EQ(Answering(2), 1);
  loader_.SetNewest(1);  // version 2 was deleted
  const auto last = Ask("d");
  loader_.Hold(false);
  ASSERT_TRUE(other->Get().ok());
  ASSERT_TRUE(last->Get().ok());
  EXPECT_EQ(loader_.loads("a@2"), 0);
  EXPECT_EQ(Loaded().size(), 3u) << "only one of them made room for the fourth model";
}

TEST_F(ModelHostTest, TheLeastRecentlyUsedMakesRoom) {
  Make(2);
  for (const char* name : {"a", "b", "a"}) {
    ASSERT_EQ(Use(name), absl::OkStatus());
    clock_.Advance(absl::Seconds(1));
  }
  ASSERT_EQ(Use("c"), absl::OkStatus());
  EXPECT_THAT(Loaded(), ElementsAre("a", "c"));
}

TEST_F(ModelHostTest, ABusyModelOutlivesAnIdleOne) {
  Make(2);
  const auto busy = Ask("a");
  ASSERT_TRUE(busy->Get().ok());
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(Use("b"), absl::OkStatus());
  ASSERT_EQ(Use("c"), absl::OkStatus());
  EXPECT_THAT(Loaded(), ElementsAre("a", "c"));
}

TEST_F(ModelHostTest, NeverHoldsMoreThanTheBound) {
  Make(1);
  auto busy = Ask("a");
  ASSERT_TRUE(busy->Get().ok());
  const auto waiting = Ask("b");
  const auto other = Ask("c");
  // The host gives "a" up, but may not load before the request lets go of it.
  EXPECT_EQ((*busy->Get())->version.name, "a");
  EXPECT_EQ(loader_.loads("b@1"), 0);
  busy->Get() = absl::CancelledError();
  ASSERT_TRUE(waiting->Get().ok());
  EXPECT_EQ(loader_.loads("c@1"), 0);
  waiting->Get() = absl::CancelledError();
  EXPECT_TRUE(other->Get().ok());
  EXPECT_EQ(puppet_.most_engines(), 1) << "each was gone before the next came";
}

TEST_F(ModelHostTest, AHandleKeepsAnUnloadedModelAlive) {
  Make(2);
  auto held = Ask("a");
  ASSERT_TRUE(held->Get().ok());
  host_->Unload({"a", 1});
  EXPECT_THAT(Loaded(), IsEmpty());
  EXPECT_EQ((*held->Get())->class_names.size(), kFakeClasses);
  ASSERT_EQ(Use("a"), absl::OkStatus());
  EXPECT_EQ(loader_.loads("a@1"), 2);
}

TEST_F(ModelHostTest, AModelThatIsUnloadedWhileItIsLoadedAnswersAndGoes) {
  Make(2);
  loader_.Hold(true);
  const auto waiting = Ask("a");
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 1));
  host_->Unload({"a", 1});
  loader_.Hold(false);
  ASSERT_TRUE(waiting->Get().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
  waiting->Get() = absl::CancelledError();
  AwaitUnloaded("a@1");

  loader_.Hold(true);
  const auto first = Ask("b");
  ASSERT_TRUE(loader_.AwaitLoads("b@1", 1));
  host_->Unload({"b", 1});
  const auto second = Ask("b");
  loader_.Hold(false);
  for (const auto& answer : {first, second}) {
    ASSERT_TRUE(answer->Get().ok());
    answer->Get() = absl::CancelledError();
  }
  EXPECT_THAT(Loaded(), ElementsAre("b")) << "it is wanted again";
}

TEST_F(ModelHostTest, DropsWhatNobodyAskedForLong) {
  Make(3, absl::Minutes(10));
  const auto busy = Ask("busy");
  ASSERT_TRUE(busy->Get().ok());
  ASSERT_EQ(Use("old"), absl::OkStatus());
  clock_.Advance(absl::Minutes(9));
  ASSERT_EQ(Use("young"), absl::OkStatus());
  clock_.Advance(absl::Minutes(2));
  host_->UnloadIdle();
  EXPECT_THAT(Loaded(), ElementsAre("busy", "young"));
}

TEST_F(ModelHostTest, WhoWaitsAtTheEndIsTold) {
  Make(1);
  auto busy = Ask("a");
  ASSERT_TRUE(busy->Get().ok());
  const auto waiting = Ask("b");
  std::thread end([this] { host_.reset(); });
  EXPECT_EQ(waiting->Get().status().code(), absl::StatusCode::kCancelled);
  busy->Get() = absl::CancelledError();
  end.join();
}

TEST_F(ModelHostTest, TheOldVersionAnswersUntilTheNewOneIsThere) {
  Make(4);
  EXPECT_EQ(Answering(1), 1);
  loader_.Hold(true);
  EXPECT_EQ(Answering(2), 1);
  ASSERT_TRUE(loader_.AwaitLoads("a@2", 1));
  EXPECT_EQ(Answering(2), 1);
  loader_.Hold(false);
  AwaitLoaded(2);
  EXPECT_EQ(Answering(2), 2);
  EXPECT_THAT(LoadedVersions(), ElementsAre(2)) << "the old one has made way";
  EXPECT_EQ(loader_.loads("a@2"), 1);
}

TEST_F(ModelHostTest, AVersionThatIsAskedForByItsNumberStays) {
  Make(4);
  ASSERT_EQ(Use("a"), absl::OkStatus());
  loader_.SetNewest(2);
  AwaitLoaded(2);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1, 2));
  loader_.SetNewest(3);
  AwaitLoaded(3);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1, 3));
}

TEST_F(ModelHostTest, AVersionThatIsInMemoryAlreadyTakesOverAtOnce) {
  Make(4);
  EXPECT_EQ(Answering(2), 2);
  ASSERT_EQ(Use("a"), absl::OkStatus());
  EXPECT_EQ(Answering(1), 1) << "after version 2 was deleted";
  EXPECT_THAT(LoadedVersions(), ElementsAre(1));
}

TEST_F(ModelHostTest, VersionsThatWereOvertakenAreNotLoaded) {
  Make(4);
  EXPECT_EQ(Answering(1), 1);
  loader_.Hold(true);
  const auto other = Ask("b");
  ASSERT_TRUE(loader_.AwaitLoads("b@1", 1));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(Answering(3), 1);
  loader_.Hold(false);
  AwaitLoaded(3);
  EXPECT_EQ(loader_.loads("a@2"), 0);
  EXPECT_EQ(Answering(3), 3);
  EXPECT_TRUE(other->Get().ok());
}

TEST_F(ModelHostTest, FindsWhatIsInMemoryAndLoadsNothing) {
  Make(4);
  EXPECT_EQ(host_->Find({"a", 0}), nullptr);
  EXPECT_EQ(Answering(1), 1);
  EXPECT_EQ(host_->Find({"a", 0})->version.version, 1);
  EXPECT_EQ(host_->Find({"a", 1})->version.version, 1);
  EXPECT_EQ(host_->Find({"a", 2}), nullptr);
  EXPECT_EQ(loader_.loads("a@2"), 0);
}

}  // namespace
}  // namespace cytopress
