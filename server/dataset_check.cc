#include "server/dataset_check.h"

#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"
#include "core/dataset/zip.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

// Of a folder; among more, nobody waits until one of a class is found.
constexpr int kMaxEntries = 10000;

std::string Quoted(const fs::path& path) { return absl::StrCat("\"", path.string(), "\""); }

std::string Unreadable(const fs::path& path) {
  return absl::StrCat(Quoted(path), " cannot be read by the user of the server, who runs the ",
                      "workers, too; allow it (chmod)");
}

// What is said of a path that is not there, or leads nowhere; not of a disk that fails.
bool IsNowhere(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory ||
         error == std::errc::too_many_symbolic_link_levels || error == std::errc::filename_too_long;
}

std::string CheckClasses(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  int entries = 0;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code not_a_folder;
    const bool is_hidden = entry->path().filename().string()[0] == '.';
    if (!is_hidden && entry->is_directory(not_a_folder)) return "";
    if (not_a_folder && !IsNowhere(not_a_folder)) return "";
    if (++entries == kMaxEntries) return "";
  }
  if (error == std::errc::permission_denied) return Unreadable(folder);
  if (error) return "";
  return absl::StrCat(Quoted(folder), " has no class folder; needed are folders CLASS/ with *.png ",
                      "or *.jpg");
}

std::string CheckFolder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder / kSplitNames[0], error)) return CheckClasses(folder);
  for (const char* split : kSplitNames) {
    if (!fs::is_directory(folder / split, error)) {
      if (error && !IsNowhere(error)) return "";
      return absl::StrCat(Quoted(folder), " has a folder train but no folder ", split,
                          "; needed are train, val and test, or class folders only");
    }
    std::string wrong = CheckClasses(folder / split);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string CheckArchive(const std::string& path) {
  constexpr char kRemedy[] = "; give an .npz file, copied to its end, or a folder of images";
  std::error_code error;
  if (fs::file_size(path, error) == 0) return absl::StrCat(Quoted(path), " is empty", kRemedy);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(path);
  if (absl::IsPermissionDenied(archive.status())) {
    return Unreadable(path);
  }
  if (absl::IsInvalidArgument(archive.status())) {
    return absl::StrCat(archive.status().message(), kRemedy);
  }
  if (!archive.ok()) return "";
  for (const char* split : kSplitNames) {
    for (const char* kind : {"images", "labels"}) {
      const std::string member = absl::StrCat(split, "_", kind, ".npy");
      if (archive->Find(member) != nullptr) continue;
      return absl::StrCat(Quoted(path), " has no member ", member,
                          "; needed are {train,val,test}_{images,labels}.npy");
    }
  }
  return "";
}

}  // namespace

std::string WhatIsWrongWithDataset(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (error && !IsNowhere(error) && error != std::errc::permission_denied) return "";
    return absl::StrCat(Quoted(path), " does not exist on the server's machine",
                        error && status.type() != fs::file_type::not_found
                            ? absl::StrCat(", or cannot be seen (", error.message(), ")")
                            : "",
                        "; give the path of an .npz file or of a folder of images there");
  }
  return fs::is_directory(status) ? CheckFolder(path) : CheckArchive(path);
}

}  // namespace cytopress
