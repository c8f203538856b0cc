#include "core/serving/model_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/core/serving/fakes.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ModelHostTest : public testing::Test {
 protected:
  void Make(int max_loaded, absl::Duration unload_idle_after = absl::InfiniteDuration()) {
    ModelHostOptions options;
    options.max_loaded = max_loaded;
    options.unload_idle_after = unload_idle_after;
    options.retry_failed_after = absl::Seconds(5);
    ModelHostEvents events;
    events.on_batch = [](const ModelVersion&, int, absl::Duration) {};
    events.on_unloaded = [this](const ModelVersion& model) {
      absl::MutexLock lock(&mutex_);
      unloaded_.push_back(ToString(model));
    };
    events.on_tick = [] {};
    host_.emplace(options, &loader_, events, &clock_);
  }

  using Answer = Promised<absl::StatusOr<ModelHandle>>;

  // Asks; the answer comes at once or later.
  std::shared_ptr<Answer> Ask(const std::string& name) {
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->Acquire(
        {name, 1}, [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) answer->Set(std::move(handle));
    return answer;
  }
  // Asks for the newest version of "a", which is `version`.
  std::shared_ptr<Answer> AskForNewest(int64_t version) {
    loader_.SetNewest(version);
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->AcquireNewest(
        {"a", version},
        [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) answer->Set(std::move(handle));
    return answer;
  }
  // The version that answers who asks for the newest.
  int64_t Answering(int64_t newest) {
    const auto answer = AskForNewest(newest);
    return answer->Get().ok() ? (*answer->Get())->version.version : -1;
  }
  std::vector<int64_t> LoadedVersions() const {
    std::vector<int64_t> versions;
    for (const ModelVersion& version : host_->Loaded()) versions.push_back(version.version);
    return versions;
  }
  void AwaitLoaded(int64_t version) {
    auto answer = std::make_shared<Answer>();
    ModelHandle handle = host_->AwaitNewest(
        {"a", version},
        [answer](absl::StatusOr<ModelHandle> model) { answer->Set(std::move(model)); });
    if (handle != nullptr) return;
    ASSERT_TRUE(answer->Get().ok());
    answer->Get() = absl::CancelledError();
  }
  absl::Status Use(const std::string& name) { return Ask(name)->Get().status(); }
  std::vector<std::string> Loaded() const {
    std::vector<std::string> names;
    for (const ModelVersion& version : host_->Loaded()) names.push_back(version.name);
    return names;
  }

  void AwaitUnloaded(const std::string& model) {
    absl::MutexLock lock(&mutex_);
    const auto is_gone = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::count(unloaded_.begin(), unloaded_.end(), model) > 0;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&is_gone), kPatience)) << model;
  }

  absl::Mutex mutex_;
  std::vector<std::string> unloaded_ ABSL_GUARDED_BY(mutex_);
  FakeClock clock_;
  Puppet puppet_;
  FakeModelLoader loader_{&puppet_};
  std::optional<ModelHost> host_;
};

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

TEST_F(ModelHostTest, AFailedLoadIsTriedAgainAfterAWhile) {
  Make(2);
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 1) << "the second answer came without another attempt";
  EXPECT_THAT(Loaded(), IsEmpty());
  loader_.Fail(absl::OkStatus());
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ(Use("a"), absl::OkStatus());
  EXPECT_EQ(loader_.loads("a@1"), 2);
}

TEST_F(ModelHostTest, WaitsLongerAfterEachFailure) {
  Make(2);
  loader_.Fail(absl::DataLossError("damaged"));
  Use("a").IgnoreError();
  int loads = 1;
  for (const int seconds : {5, 10, 20, 40, 80, 160, 300, 300}) {
    clock_.Advance(absl::Seconds(seconds) - absl::Milliseconds(1));
    Use("a").IgnoreError();
    EXPECT_EQ(loader_.loads("a@1"), loads);
    clock_.Advance(absl::Milliseconds(1));
    Use("a").IgnoreError();
    EXPECT_EQ(loader_.loads("a@1"), ++loads) << "after " << seconds << " s";
  }
}

TEST_F(ModelHostTest, ADamagedVersionPushesNobodyOutASecondTime) {
  Make(2);
  loader_.FailOne("a@2", absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(1), 1);
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(Use("b"), absl::OkStatus());
  EXPECT_EQ(Answering(2), 1);
  AwaitUnloaded("b@1");
  ASSERT_EQ(Use("b"), absl::OkStatus());
  EXPECT_THAT(Loaded(), ElementsAre("a", "b")) << "version 1 stood in: it did not make room";
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Minutes(10));
    EXPECT_EQ(Answering(2), 1);
    ASSERT_EQ(Use("b"), absl::OkStatus());
  }
  EXPECT_EQ(loader_.loads("a@2"), 1);
  EXPECT_EQ(loader_.loads("b@1"), 2);
  loader_.FailOne("a@2", absl::OkStatus());
  host_->Unload({"b", 1});
  EXPECT_TRUE(Eventually([this] { return Answering(2) == 2; })) << "once there is room";
}

TEST_F(ModelHostTest, NobodyMakesRoomForWhatCannotBeReadNow) {
  Make(1);
  EXPECT_TRUE(Use("a").ok());
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Use("b"), absl::UnavailableError("not mounted"));
  EXPECT_EQ(loader_.loads("b@1"), 0);
  EXPECT_THAT(Loaded(), ElementsAre("a"));
  // It was not the model's fault: the next try neither waits nor lacks room.
  loader_.FailLooks(absl::OkStatus());
  EXPECT_TRUE(Use("b").ok());
  EXPECT_THAT(Loaded(), ElementsAre("b"));
}

TEST_F(ModelHostTest, ADamagedVersionStaysOneWhileNothingCanBeRead) {
  Make(2);
  loader_.FailOne("a@1", absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  clock_.Advance(absl::Seconds(5));
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Use("a"), absl::UnavailableError("not mounted"));
  loader_.FailLooks(absl::OkStatus());
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 2);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 2) << "it waits twice as long after its second failure";
}

TEST_F(ModelHostTest, TheOldVersionAnswersOnWhenTheNewOneCannotBeRead) {
  Make(1);
  EXPECT_EQ(Answering(1), 1);
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(Use("b"), absl::UnavailableError("not mounted")) << "it comes after the new version";
  EXPECT_EQ(loader_.loads("a@2"), 0);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1));
}

TEST_F(ModelHostTest, WhatFailedForAReasonThatMayPassIsGivenRoomAgain) {
  for (const absl::Status& failure :
       {absl::ResourceExhaustedError("no memory"), absl::UnknownError("Input/output error"),
        absl::DeadlineExceededError("Connection timed out")}) {
    Make(2);
    const int loads = loader_.loads("b@1");
    loader_.FailOne("a@2", failure);
    EXPECT_EQ(Answering(1), 1);
    ASSERT_EQ(Use("b"), absl::OkStatus());
    EXPECT_EQ(Answering(2), 1);
    AwaitUnloaded("b@1");
    ASSERT_EQ(Use("b"), absl::OkStatus());
    loader_.FailOne("a@2", absl::OkStatus());
    clock_.Advance(absl::Seconds(5));
    AwaitLoaded(2);
    EXPECT_EQ(loader_.loads("b@1"), loads + 2) << failure;
    host_.reset();
    absl::MutexLock lock(&mutex_);
    unloaded_.clear();
  }
}

TEST_F(ModelHostTest, TheOnlyModelMakesRoomAgainForWhatMayPass) {
  Make(1);
  loader_.FailOne("a@2", absl::UnknownError("Input/output error"));
  EXPECT_EQ(Answering(1), 1);
  EXPECT_EQ(Answering(2), 1);
  for (int loads = 2; loads <= 3; ++loads) {
    ASSERT_TRUE(loader_.AwaitLoads("a@1", loads)) << "it came back";
    EXPECT_EQ(Answering(2), 1);
    EXPECT_EQ(loader_.loads("a@2"), loads - 1);
    clock_.Advance(absl::Seconds(10));
    EXPECT_EQ(Answering(2), 1);
  }
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 4));
  loader_.FailOne("a@2", absl::OkStatus());
  clock_.Advance(absl::Seconds(20));
  AwaitLoaded(2);
  EXPECT_THAT(LoadedVersions(), ElementsAre(2));
}

TEST_F(ModelHostTest, WhoTakesTheOldVersionWaitsUntilItIsBack) {
  Make(1);
  loader_.FailOne("a@2", absl::UnknownError("Input/output error"));
  EXPECT_EQ(Answering(1), 1);
  loader_.Hold(true);
  EXPECT_EQ(Answering(2), 1);
  ASSERT_TRUE(loader_.AwaitLoads("a@2", 1));
  const auto before = AskForNewest(2);
  auto by_number = std::make_shared<Answer>();
  EXPECT_EQ(host_->Acquire({"a", 2},
                           [by_number](absl::StatusOr<ModelHandle> model) {
                             by_number->Set(std::move(model));
                           }),
            nullptr);
  loader_.HoldLooks(true);
  loader_.Hold(false);
  EXPECT_EQ(by_number->Get().status(), absl::UnknownError("Input/output error"));
  EXPECT_FALSE(before->IsSet());
  const auto meanwhile = AskForNewest(2);
  EXPECT_FALSE(meanwhile->IsSet());
  loader_.HoldLooks(false);
  for (const auto& answer : {before, meanwhile}) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    EXPECT_EQ((*answer->Get())->version.version, 1);
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ModelHostTest, TheOnlyModelComesBackWhenTheNewVersionIsDamaged) {
  Make(1);
  loader_.FailOne("a@2", absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(1), 1);
  EXPECT_EQ(Answering(2), 1);
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 2));
  ASSERT_EQ(Use("a"), absl::OkStatus());
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(loader_.loads("a@1"), 2);
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

TEST_F(ModelHostTest, TheOldVersionStaysWhenTheNewOneIsDamaged) {
  Make(4);
  EXPECT_EQ(Answering(1), 1);
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(2), 1);
  // Answered when the load has ended.
  auto by_number = std::make_shared<Answer>();
  EXPECT_EQ(host_->Acquire({"a", 2},
                           [by_number](absl::StatusOr<ModelHandle> model) {
                             by_number->Set(std::move(model));
                           }),
            nullptr);
  EXPECT_EQ(by_number->Get().status(), absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1));
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
