#include "core/dataset/folder_split.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/sha256.h"
#include "core/dataset/random.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

// Of the images of a class; the rest is for training.
constexpr double kTestShare = 0.2;
constexpr double kValShare = 0.1;

// Files with the same pixels.
struct Group {
  std::string pixel_hash;
  std::vector<size_t> files;  // indices, in order
};
using Groups = std::vector<Group>;

// In the order of their first files.
Groups GroupDuplicates(const FolderListing& listing, const std::vector<uint8_t>& pixels,
                       int64_t image_bytes, Problems* problems) {
  Groups groups;
  std::map<std::string, size_t> group_of;
  for (size_t i = 0; i < listing.files.size(); ++i) {
    const absl::string_view image(reinterpret_cast<const char*>(&pixels[i * image_bytes]),
                                  image_bytes);
    const auto [found, is_new] = group_of.emplace(Sha256Bytes(image), groups.size());
    if (is_new) {
      groups.push_back({found->first, {i}});
      continue;
    }
    Group& group = groups[found->second];
    const FolderFile& file = listing.files[i];
    const FolderFile& first = listing.files[group.files[0]];
    if (file.label != first.label || (listing.has_splits && file.split != first.split)) {
      problems->Add(BadPath(
          file.path, absl::StrCat("the same pixels as ", first.path.string(), " in another ",
                                  file.label != first.label ? "class" : "split", "; remove one")));
    }
    group.files.push_back(i);
  }
  return groups;
}

// In [0, 1), evenly over all images; the same whatever other images there are.
double DrawOf(const Group& group, uint64_t seed) {
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(group.pixel_hash[i]);
  return Random::Stream(seed, number).Uniform();
}

int SplitOf(double draw) {
  if (draw < kTestShare) return 2;
  return draw < kTestShare + kValShare ? 1 : 0;
}

// Chance may leave a split of a small class without an image.
void FillEmpty(std::array<Groups, kFolderSplits>* splits) {
  for (Groups& split : *splits) {
    if (!split.empty()) continue;
    Groups& most =
        *std::max_element(splits->begin(), splits->end(),
                          [](const Groups& a, const Groups& b) { return a.size() < b.size(); });
    split.push_back(std::move(most.back()));
    most.pop_back();
  }
}

absl::Status SplitClass(const fs::path& path, const std::string& class_name, Groups groups,
                        uint64_t seed, std::vector<FolderFile>* files) {
  if (groups.size() < kFolderSplits) {
    return BadPath(path / class_name,
                   absl::StrCat("it has ", groups.size(), " different images; needed are at least ",
                                kFolderSplits, ", one for each split"));
  }
  // Not by name: which images fill an empty split depends on their pixels alone as well.
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.pixel_hash < b.pixel_hash; });
  std::array<Groups, kFolderSplits> splits;
  for (Group& group : groups) splits[SplitOf(DrawOf(group, seed))].push_back(std::move(group));
  FillEmpty(&splits);
  for (int split = 0; split < kFolderSplits; ++split) {
    for (const Group& group : splits[split]) {
      for (const size_t file : group.files) (*files)[file].split = split;
    }
  }
  return absl::OkStatus();
}

void SplitFiles(const fs::path& path, const Groups& groups, uint64_t seed, FolderListing* listing,
                Problems* problems) {
  std::vector<Groups> by_class(listing->class_names.size());
  for (const Group& group : groups) {
    by_class[listing->files[group.files[0]].label].push_back(group);
  }
  for (size_t label = 0; label < by_class.size(); ++label) {
    problems->Add(SplitClass(path, listing->class_names[label], std::move(by_class[label]), seed,
                             &listing->files));
  }
}

}  // namespace

void SplitFolder(const fs::path& path, const std::vector<uint8_t>& pixels, int64_t image_bytes,
                 uint64_t seed, FolderListing* listing, Problems* problems) {
  const Groups groups = GroupDuplicates(*listing, pixels, image_bytes, problems);
  if (!listing->has_splits) SplitFiles(path, groups, seed, listing, problems);
}

}  // namespace cytopress
