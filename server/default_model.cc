#include "server/default_model.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"

namespace cytopress {
namespace {

// One that is not there yet may come by a job; one that cannot be loaded must be replaced, for
// which the other services are needed.
bool MayServe(const absl::Status& status) { return status.ok() || absl::IsNotFound(status); }

}  // namespace

DefaultModel::DefaultModel(std::string name, absl::Duration look_again, RegistryModelLoader* loader,
                           ClassifyPipeline* pipeline)
    : name_(std::move(name)), look_again_(look_again), loader_(loader), pipeline_(pipeline) {}

DefaultModel::~DefaultModel() {
  StopLooking();
  Join();
}

void DefaultModel::StopLooking() { stopping_.Notify(); }

void DefaultModel::Join() {
  if (recovery_.joinable()) recovery_.join();
}

absl::Status DefaultModel::Load() {
  if (name_.empty()) return absl::OkStatus();
  // Shared: the callback may still run when the wait is over.
  const auto ready = std::make_shared<absl::Notification>();
  const auto result = std::make_shared<absl::Status>();
  pipeline_->Preload({name_, 0}, [ready, result](const absl::Status& loaded) {
    *result = loaded;
    ready->Notify();
  });
  ready->WaitForNotification();
  return *result;
}

void DefaultModel::Recover(ModelVersion failed, absl::Status why) {
  while (!stopping_.WaitFor(look_again_)) {
    const absl::StatusOr<ModelVersion> newest = loader_->Resolve({name_, 0});
    // Another try of a file that is bad would only push other models out of memory.
    if (newest.ok() && *newest == failed && !absl::IsResourceExhausted(why)) continue;
    why = newest.ok() ? Load() : newest.status();
    if (MayServe(why)) return set_serving_(true);
    if (newest.ok()) failed = *newest;
  }
}

void DefaultModel::WarmUp(std::function<void(bool)> set_serving) {
  set_serving_ = std::move(set_serving);
  const absl::Status status = Load();
  if (!status.ok()) {
    spdlog::warn("the default model {} is not ready: {}{}", name_, std::string(status.message()),
                 absl::IsNotFound(status)
                     ? "; requests that name no model are refused until it is published"
                     : "");
  }
  set_serving_(MayServe(status));
  if (MayServe(status)) return;
  const auto failed = loader_->Resolve({name_, 0});
  recovery_ = std::thread(
      [this, failed, status] { Recover(failed.ok() ? *failed : ModelVersion{}, status); });
}

}  // namespace cytopress
