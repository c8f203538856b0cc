#include "server/metrics/state_reader.h"

#include <spdlog/spdlog.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "core/base/steady_notification.h"

namespace cytopress {
namespace {

constexpr absl::Duration kCacheFor = absl::Seconds(1);
constexpr absl::Duration kForgetAfter = absl::Minutes(1);

}  // namespace

void StateReading::Note(const std::string& what, const absl::Status& status) {
  if (!status.ok()) spdlog::warn("metrics: cannot read the {}: {}", what, status.ToString());
  Skip(what, status);
}

void StateReading::Skip(const std::string& what, const absl::Status& status) {
  readable.emplace_back(what, status.ok());
}

// What the thread shares with those that ask it. Thread-safe.
class StateReader::Board {
 public:
  Board(std::vector<std::string> whats, std::function<StateReading()> read, Clock* clock)
      : whats_(std::move(whats)), read_(std::move(read)), clock_(clock) {}

  void Ask() {
    absl::MutexLock lock(&mutex_);
    if (wanted_ || clock_->Steady() - read_at_ < kCacheFor) return;
    wanted_ = true;
    news_.Reset();
  }

  StateReading Get(absl::Duration patience) {
    news_.WaitFor(patience);
    {
      absl::MutexLock lock(&mutex_);
      if (clock_->Steady() - read_at_ < kForgetAfter) return last_;
    }
    spdlog::warn("metrics: still waiting to read: {}", absl::StrJoin(whats_, ", "));
    StateReading none;
    for (const std::string& what : whats_) none.readable.emplace_back(what, false);
    return none;
  }

  // The thread.
  void Run() {
    while (AwaitQuestion()) {
      StateReading reading = read_();
      absl::MutexLock lock(&mutex_);
      if (stopping_) break;  // the clock may be gone
      last_ = std::move(reading);
      read_at_ = clock_->Steady();
      wanted_ = false;
      news_.Notify();
    }
    ended_.Notify();
  }

  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  bool EndsWithin(absl::Duration patience) const { return ended_.WaitFor(patience); }

 private:
  // False when it is to end.
  bool AwaitQuestion() {
    absl::MutexLock lock(&mutex_);
    const auto awake = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return wanted_ || stopping_; };
    mutex_.Await(absl::Condition(&awake));
    return !stopping_;
  }

  const std::vector<std::string> whats_;
  const std::function<StateReading()> read_;
  Clock* const clock_;

  absl::Mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // until it has been read
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  StateReading last_ ABSL_GUARDED_BY(mutex_);
  absl::Duration read_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();  // steady time
  SteadyNotification news_;  // what was wanted has been read
  SteadyNotification ended_;
};

StateReader::StateReader(std::vector<std::string> whats, std::function<StateReading()> read,
                         Clock* clock, absl::Duration end_patience)
    : board_(std::make_shared<Board>(std::move(whats), std::move(read), clock)),
      end_patience_(end_patience),
      thread_([board = board_] { board->Run(); }) {}

StateReader::~StateReader() {
  board_->Stop();
  if (end_patience_ == absl::InfiniteDuration() || board_->EndsWithin(end_patience_)) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void StateReader::Ask() { board_->Ask(); }

StateReading StateReader::Get(absl::Duration patience) { return board_->Get(patience); }

}  // namespace cytopress
