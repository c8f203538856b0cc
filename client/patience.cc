#include "client/patience.h"

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

// Between the steps; a timeout has to be finite.
constexpr absl::Duration kUnwatched = absl::Hours(1);

}  // namespace

Patience::Patience(grpc::ClientContext* context, absl::Duration longest)
    : context_(context), longest_(longest), watcher_([this] { Watch(); }) {}

Patience::~Patience() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  changed_.Notify();
  watcher_.join();
}

bool Patience::During(absl::FunctionRef<bool()> step) {
  const auto change = [this] {
    {
      absl::MutexLock lock(&mutex_);
      ++changes_;
    }
    changed_.Notify();
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
  while (true) {
    changed_.Reset();
    int64_t before;
    {
      absl::MutexLock lock(&mutex_);
      if (ended_) return;
      before = changes_;
    }
    const bool in_step = before % 2 == 1;
    if (changed_.WaitFor(in_step ? longest_ : kUnwatched) || !in_step) continue;
    absl::MutexLock lock(&mutex_);
    if (changes_ != before) continue;  // at the last moment
    expired_ = true;
    context_->TryCancel();
    return;
  }
}

}  // namespace cytopress
