#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

constexpr size_t kMaxNameLength = 63;
constexpr char kRule[] = "1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit";

absl::Status BadModelVersion(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text,
                                                 "\" is not NAME or NAME@VERSION; a name has ",
                                                 kRule, ", and versions count from 1"));
}

}  // namespace

bool IsValidModelName(absl::string_view name) {
  const auto starts = [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); };
  return !name.empty() && name.size() <= kMaxNameLength && starts(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return starts(c) || c == '.' || c == '_' || c == '-'; });
}

absl::Status CheckModelName(absl::string_view name) {
  if (IsValidModelName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is not a model name: give ", kRule));
}

absl::StatusOr<ModelVersion> ParseModelVersion(absl::string_view text) {
  ModelVersion model;
  const size_t at = text.find('@');
  model.name = std::string(text.substr(0, at));
  if (!IsValidModelName(model.name)) return BadModelVersion(text);
  if (at == absl::string_view::npos) return model;
  const absl::string_view digits = text.substr(at + 1);
  // SimpleAtoi also takes signs and spaces.
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &model.version) || model.version < 1) {
    return BadModelVersion(text);
  }
  return model;
}

std::string ToString(const ModelVersion& model) {
  return model.version == 0 ? model.name : absl::StrCat(model.name, "@", model.version);
}

}  // namespace cytopress
