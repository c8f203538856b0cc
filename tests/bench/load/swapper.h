// Publishes versions of a model while a server serves it.
#ifndef CYTOPRESS_TESTS_BENCH_LOAD_SWAPPER_H_
#define CYTOPRESS_TESTS_BENCH_LOAD_SWAPPER_H_

#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// The bytes of a model with random INT4 weights for 28 x 28 images.
absl::StatusOr<std::string> RandomModel(const std::string& architecture);

// From construction to destruction a new version every `interval`, each deleting the one before.
class Swapper {
 public:
  // `models` is the folder of the server at `target`, which has `name` already.
  Swapper(const std::string& models, const std::string& name, const std::string& target,
          absl::Duration interval);
  ~Swapper();

  // Ends it. The number of swaps, or the first error.
  absl::StatusOr<int> Stop();

 private:
  void Run();
  absl::Status Swap(ModelRegistry* registry);

  const std::string models_;
  const std::string name_;
  const std::string target_;
  const absl::Duration interval_;
  absl::Notification stop_;
  absl::Status status_;
  int swaps_ = 0;
  std::thread thread_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_LOAD_SWAPPER_H_
