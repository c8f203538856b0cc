#include "client/cli/recipe_file.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/console.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr int64_t kMaxRecipeBytes = 1 << 20;

const FieldDescriptor* FindField(const Descriptor& type, const std::string& name) {
  const FieldDescriptor* const field = type.FindFieldByCamelcaseName(name);
  return field != nullptr ? field : type.FindFieldByName(name);
}

std::string FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->camelcase_name());
  return absl::StrJoin(names, ", ");
}

absl::Status CheckEnum(const EnumDescriptor& type, const Json& value, const std::string& where) {
  if (!value.is_string() || type.FindValueByName(value.get<std::string>()) != nullptr) {
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  return absl::InvalidArgumentError(
      absl::StrCat(where, " is ", value.dump(), "; it can be ", absl::StrJoin(names, ", ")));
}

// Of names alone: what values are of the wrong kind, Protocol Buffers says well enough.
absl::Status CheckNames(const Descriptor& type, const Json& object, const std::string& where) {
  for (const auto& [name, value] : object.items()) {
    const std::string path = where.empty() ? name : absl::StrCat(where, ".", name);
    const FieldDescriptor* const field = FindField(type, name);
    if (field == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no field ", path, "; ",
                                                     where.empty() ? "a recipe" : where,
                                                     " can have ", FieldNames(type)));
    }
    if (field->is_repeated()) continue;  // maps of layers: any name will do
    if (field->message_type() != nullptr && value.is_object()) {
      CYTOPRESS_RETURN_IF_ERROR(CheckNames(*field->message_type(), value, path));
    }
    if (field->enum_type() != nullptr) {
      CYTOPRESS_RETURN_IF_ERROR(CheckEnum(*field->enum_type(), value, path));
    }
  }
  return absl::OkStatus();
}

absl::Status Parse(const std::string& text, v1::Recipe* recipe) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const absl::string_view what = error.what();
    const size_t end = what.find("] ");
    return absl::InvalidArgumentError(
        absl::StrCat("not JSON: ", end == absl::string_view::npos ? what : what.substr(end + 2)));
  }
  if (!json.is_object()) return absl::InvalidArgumentError("not a JSON object: {...}");
  CYTOPRESS_RETURN_IF_ERROR(CheckNames(*v1::Recipe::descriptor(), json, ""));
  const google::protobuf::util::Status parsed =
      google::protobuf::util::JsonStringToMessage(text, recipe);
  return parsed.ok() ? absl::OkStatus() : absl::InvalidArgumentError(std::string(parsed.message()));
}

}  // namespace

absl::StatusOr<v1::Recipe> ReadRecipeFile(const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  v1::Recipe recipe;
  const absl::Status parsed = Parse(text, &recipe);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the recipe in ", path, ": ", std::string(parsed.message())));
  }
  if (recipe.name().empty()) recipe.set_name(std::filesystem::path(path).stem().string());
  return recipe;
}

}  // namespace cytopress
