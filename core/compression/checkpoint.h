// Tensors by name in a file, so that a job goes on where it was stopped.
#ifndef CYTOPRESS_CORE_COMPRESSION_CHECKPOINT_H_
#define CYTOPRESS_CORE_COMPRESSION_CHECKPOINT_H_

#include <torch/torch.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

using TensorTable = std::map<std::string, torch::Tensor>;

// Replaces the file atomically. The format is LibTorch's pickle of a dictionary.
absl::Status SaveTensors(const TensorTable& tensors, const std::string& path);

// Whether there was no room for what SaveTensors was to save; the log then says so. The file of
// before is intact and the next one may find room, so that a job need not end.
bool WarnedOfNoRoom(const absl::Status& saved);

// NOT_FOUND when there is no file, DATA_LOSS when its content is damaged; after any other error,
// as RESOURCE_EXHAUSTED without the memory for it, it may be read yet. All tensors are on the CPU.
absl::StatusOr<TensorTable> LoadTensors(const std::string& path);

// Renames a damaged file to "<path>.bad" and says so, and why, in the log.
absl::Status SetAside(const std::string& path, absl::string_view why);

// Copies `source` into the table under "<prefix><name>", and back into the tensors of `target`, in
// place; DATA_LOSS names a tensor that the table lacks or has in another shape, and nothing is
// copied.
void PutAll(const std::string& prefix, const TensorTable& source, TensorTable& table);
absl::Status GetAll(const std::string& prefix, const TensorTable& table, const TensorTable& target);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_COMPRESSION_CHECKPOINT_H_
