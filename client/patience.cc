#include "client/patience.h"

#include "absl/strings/str_cat.h"

namespace cytopress {

Patience::Patience(grpc::ClientContext* context, absl::Duration longest)
    : context_(context), longest_(longest), watcher_([this] { Watch(); }) {}

Patience::~Patience() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  watcher_.join();
}

bool Patience::During(absl::FunctionRef<bool()> step) {
  const auto change = [this] {
    absl::MutexLock lock(&mutex_);
    ++changes_;
  };
  change();
  const bool result = step();
  change();
  return result;
}

absl::Status Patience::status() const {
  absl::MutexLock lock(&mutex_);
  if (!expired_) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("nothing moved for ", absl::FormatDuration(longest_)));
}

void Patience::Watch() {
  absl::MutexLock lock(&mutex_);
  while (!ended_) {
    const int64_t before = changes_;
    const auto changed = [this, before]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended_ || changes_ != before;
    };
    const bool in_step = before % 2 == 1;
    const bool heard = mutex_.AwaitWithTimeout(absl::Condition(&changed),
                                               in_step ? longest_ : absl::InfiniteDuration());
    if (heard) continue;
    expired_ = true;
    context_->TryCancel();
    return;
  }
}

}  // namespace cytopress
