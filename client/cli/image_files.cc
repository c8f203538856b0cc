#include "client/cli/image_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostEndings = 8;  // to be named
constexpr int64_t kMaxImageBytes = int64_t{64} << 20;

std::string EndingOf(const fs::path& path) {
  return absl::AsciiStrToLower(path.extension().string());
}

bool IsImageName(const fs::path& path) {
  const std::string ending = EndingOf(path);
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

// Whatever is wrong with a file that is there is the same to a script.
absl::Status Unreadable(int error, absl::string_view what) {
  return absl::InvalidArgumentError(absl::ErrnoToStatus(error, what).message());
}

// A link to nothing and a link to itself are as files that are not there.
absl::Status CheckIsThere(const std::string& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) {
    return absl::NotFoundError("there is no such file or folder");
  }
  if (type == fs::file_type::none) return Unreadable(error.value(), "cannot be read");
  return absl::OkStatus();
}

// Pipes and devices would be waited for.
absl::Status CheckIsFile(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return absl::OkStatus();
  CYTOPRESS_RETURN_IF_ERROR(CheckIsThere(path));
  return absl::InvalidArgumentError(
      "this is no file with content; - reads an image from standard input");
}

absl::StatusOr<std::string> ReadStandardInput() {
  std::string content;
  char part[1 << 14];
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("cannot read", "standard input");
    if (got == 0) return content;
    content.append(part, got);
    if (static_cast<int64_t>(content.size()) > kMaxImageBytes) {
      return absl::ResourceExhaustedError(absl::StrCat("standard input has more than ",
                                                       kMaxImageBytes,
                                                       " bytes, which are the most that are read"));
    }
  }
}

void ReadFolder(const std::string& folder, ImageFiles* found);

void AddEntry(const fs::directory_entry& entry, ImageFiles* found) {
  const fs::path& path = entry.path();
  // The Finder puts a ._NAME, which is no image, beside each file on a stick.
  if (absl::StartsWith(path.filename().string(), ".")) return;
  std::error_code error;
  if (entry.is_directory(error)) {
    if (!entry.is_symlink(error)) ReadFolder(path.string(), found);
    return;
  }
  if (IsImageName(path)) {
    found->files.push_back({path.string(), CheckIsFile(path.string())});
    return;
  }
  ++found->left_out;
  found->left_out_endings.insert(path.has_extension() ? EndingOf(path) : "no ending");
}

void ReadFolder(const std::string& folder, ImageFiles* found) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    AddEntry(*entry, found);
  }
  if (error) {
    found->files.push_back({folder, Unreadable(error.value(), "cannot read the folder")});
  }
}

ImageFiles FindInFolder(const std::string& folder) {
  ImageFiles found;
  ReadFolder(folder, &found);
  std::sort(found.files.begin(), found.files.end(),
            [](const ImageFile& a, const ImageFile& b) { return a.path < b.path; });
  if (found.files.empty()) {
    const std::string others = LeftOutInWords(found);
    found.files.push_back(
        {folder, absl::NotFoundError(absl::StrCat("there is no .png, .jpg or .jpeg in the folder",
                                                  others.empty() ? "" : "; ", others))});
  }
  return found;
}

}  // namespace

bool IsStandardInput(absl::string_view path) { return path == "-" || path == "/dev/stdin"; }

ImageFiles FindImageFiles(const std::vector<std::string>& paths) {
  ImageFiles all;
  bool has_standard_input = false;
  for (const std::string& path : paths) {
    std::error_code error;
    if (IsStandardInput(path)) {
      all.files.push_back(
          {path, has_standard_input
                     ? absl::InvalidArgumentError(
                           "standard input is one image, and was named before; leave it out here")
                     : absl::OkStatus()});
      has_standard_input = true;
      continue;
    }
    if (!fs::is_directory(path, error)) {
      all.files.push_back({path, CheckIsFile(path)});
      continue;
    }
    ImageFiles found = FindInFolder(path);
    std::move(found.files.begin(), found.files.end(), std::back_inserter(all.files));
    all.left_out += found.left_out;
    all.left_out_endings.merge(found.left_out_endings);
  }
  return all;
}

absl::StatusOr<std::string> ReadImageFile(const std::string& path) {
  absl::StatusOr<std::string> content =
      IsStandardInput(path) ? ReadStandardInput() : ReadFile(path, kMaxImageBytes);
  if (content.ok() || absl::IsNotFound(content.status())) return content;
  return absl::InvalidArgumentError(content.status().message());
}

std::string LeftOutInWords(const ImageFiles& files) {
  if (files.left_out == 0) return "";
  std::vector<std::string> named(files.left_out_endings.begin(), files.left_out_endings.end());
  if (named.size() > kMostEndings) {
    named.resize(kMostEndings);
    named.push_back("...");
  }
  return absl::StrCat(files.left_out, files.left_out == 1 ? " file (" : " files (",
                      absl::StrJoin(named, ", "), files.left_out == 1 ? ") is" : ") are",
                      " not called .png, .jpg or .jpeg");
}

}  // namespace cytopress
