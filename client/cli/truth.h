// Which class a folder's name means.
#ifndef CYTOPRESS_CLIENT_CLI_TRUTH_H_
#define CYTOPRESS_CLIENT_CLI_TRUTH_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// "ig=immature granulocyte,..." as given by --alias, already cut at the commas. INVALID_ARGUMENT
// for an entry without '='.
absl::StatusOr<std::map<std::string, std::string>> ParseAliases(
    const std::vector<std::string>& entries);

// INVALID_ARGUMENT for an alias whose class is none of `class_names`, or may be several, by the
// rules below.
absl::Status CheckAliases(const std::map<std::string, std::string>& aliases,
                          const std::vector<std::string>& class_names);

// The index of the class that `folder` names: by alias, else by its very name, else by equal
// letters and digits (case and punctuation do not count), else as the beginning of exactly one
// class name, else as the initials of its first words ("ig" for "immature granulocyte"). NOT_FOUND
// when nothing fits and INVALID_ARGUMENT when several do; both list the classes and name --alias.
absl::StatusOr<int> MatchClass(absl::string_view folder,
                               const std::vector<std::string>& class_names,
                               const std::map<std::string, std::string>& aliases);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_TRUTH_H_
