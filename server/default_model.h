// The model that is loaded before the server says that it serves.
#ifndef CYTOPRESS_SERVER_DEFAULT_MODEL_H_
#define CYTOPRESS_SERVER_DEFAULT_MODEL_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/steady_notification.h"
#include "core/registry/model_registry.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/model_loader.h"

namespace cytopress {

// Thread-compatible. Order of the life: WarmUp, StopLooking, Join (or destruction).
class DefaultModel {
 public:
  // `name` is empty where there is none. `look_again`: how often a model that could not be loaded
  // is looked at for another version. The pointers must outlive the object.
  DefaultModel(std::string name, absl::Duration look_again, RegistryModelLoader* loader,
               ClassifyPipeline* pipeline);
  // As StopLooking and Join.
  ~DefaultModel();
  DefaultModel(const DefaultModel&) = delete;
  DefaultModel& operator=(const DefaultModel&) = delete;

  // Waits until the model is in memory, or not to be loaded, and tells `set_serving` whether the
  // server may serve. If it may not, a thread calls it with true as soon as another version has
  // been loaded or the model is gone. Once.
  void WarmUp(std::function<void(bool)> set_serving);

  // No further try; does not wait for one under way, which ends with the pipeline's Drain at the
  // latest. Idempotent.
  void StopLooking();
  void Join();

 private:
  absl::Status Load();
  // `failed` could not be loaded, and `why`.
  void Recover(ModelVersion failed, absl::Status why);

  const std::string name_;
  const absl::Duration look_again_;
  RegistryModelLoader* const loader_;
  ClassifyPipeline* const pipeline_;
  std::function<void(bool)> set_serving_;
  SteadyNotification stopping_;
  std::thread recovery_;  // where the model could not be loaded
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DEFAULT_MODEL_H_
