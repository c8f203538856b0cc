#include "core/dataset/folder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/parallel.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/dataset/class_names.h"
#include "core/dataset/random.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;
constexpr int kMaxImageSize = 4096;
constexpr int kSplitCount = 3;
// Of the images of a class; the rest is for training.
constexpr double kTestShare = 0.2;
constexpr double kValShare = 0.1;

struct File {
  fs::path path;
  int label = 0;
  int split = 0;  // index in kSplitNames
};

struct Listing {
  std::vector<std::string> class_names;
  std::vector<File> files;
  bool has_splits = false;
};

absl::Status Bad(const fs::path& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", what));
}

// What is wrong with the files of a data set, so that whoever mends one learns of the others.
class Problems {
 public:
  void Add(absl::Status problem) {
    if (!problem.ok()) problems_.push_back(std::move(problem));
  }

  // OK; the only problem; or the first ones, with the code of the first.
  absl::Status Summary() const {
    if (problems_.empty()) return absl::OkStatus();
    if (problems_.size() == 1) return problems_[0];
    std::string text = absl::StrCat(problems_.size(), " problems");
    if (problems_.size() > kMost) absl::StrAppend(&text, ", the first ", kMost);
    for (size_t i = 0; i < problems_.size() && i < kMost; ++i) {
      absl::StrAppend(&text, i == 0 ? ": (" : "; (", i + 1, ") ", problems_[i].message());
    }
    return absl::Status(problems_[0].code(), text);
  }

 private:
  static constexpr size_t kMost = 20;
  std::vector<absl::Status> problems_;
};

bool IsHidden(const fs::path& path) { return path.filename().string()[0] == '.'; }

// Entries of a folder that are not hidden, sorted.
absl::StatusOr<std::vector<fs::path>> SortedEntries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!IsHidden(entry->path())) entries.push_back(entry->path());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot list the folder ", folder.string()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool IsImageName(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// At any depth.
bool HoldsImages(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (IsHidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (IsImageName(entry->path())) {
      return true;
    }
  }
  return false;
}

// Whether what stands in a class folder is one of its images. What only looks like some is a
// problem: they would be missing without a word.
bool IsImage(const fs::path& path, Problems* problems) {
  std::error_code error;
  if (IsImageName(path)) {
    if (fs::is_regular_file(path, error)) return true;
    problems->Add(Bad(path, "a link to nothing, or not a file; mend or remove it"));
  } else if (IsFolder(path) && HoldsImages(path)) {
    problems->Add(Bad(path,
                      "images must lie directly in the class folder; move them there, or remove "
                      "this folder"));
  }
  return false;
}

// Adds the images of `folder`/CLASS/* with the class names they were found under.
absl::Status ListClasses(const fs::path& folder, int split,
                         std::map<std::string, std::vector<File>>* classes, Problems* problems) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, SortedEntries(folder));
  bool any = false;
  for (const fs::path& class_folder : entries) {
    if (!IsFolder(class_folder)) {
      if (IsImageName(class_folder)) {
        problems->Add(
            Bad(class_folder, "lies beside the class folders; move it into one, or remove it"));
      }
      continue;
    }
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> candidates, SortedEntries(class_folder));
    std::vector<File>& files = (*classes)[class_folder.filename().string()];
    const size_t before = files.size();
    for (const fs::path& path : candidates) {
      if (IsImage(path, problems)) files.push_back({path, 0, split});
    }
    if (files.size() == before) {
      problems->Add(Bad(class_folder,
                        "this class folder has no image; needed are files *.png, *.jpg or *.jpeg, "
                        "or remove the folder"));
    }
    any = true;
  }
  if (!any) {
    return Bad(folder, "no class folder found; needed are folders CLASS/ with *.png or *.jpg");
  }
  return absl::OkStatus();
}

// A folder whose only folders are called val or test has no classes of these names: it lacks its
// train.
absl::Status CheckNotOnlySplits(const fs::path& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, SortedEntries(path));
  std::string split;
  for (const fs::path& entry : entries) {
    if (!IsFolder(entry)) continue;
    split = entry.filename().string();
    if (split != kSplitNames[1] && split != kSplitNames[2]) return absl::OkStatus();
  }
  if (split.empty()) return absl::OkStatus();
  return Bad(path,
             absl::StrCat("it has a folder ", split,
                          " but no folder train; needed are train, val and test, or class folders "
                          "only: give ",
                          (path / split).string(), " if they are in there"));
}

absl::StatusOr<Listing> ListImages(const fs::path& path, Problems* problems) {
  Listing listing;
  listing.has_splits = IsFolder(path / kSplitNames[0]);
  std::map<std::string, std::vector<File>> classes;
  if (!listing.has_splits) {
    CYTOPRESS_RETURN_IF_ERROR(CheckNotOnlySplits(path));
    CYTOPRESS_RETURN_IF_ERROR(ListClasses(path, 0, &classes, problems));
  }
  for (int split = 0; listing.has_splits && split < kSplitCount; ++split) {
    if (!IsFolder(path / kSplitNames[split])) {
      return Bad(path, absl::StrCat("it has a folder train but no folder ", kSplitNames[split],
                                    "; needed are train, val and test, or class folders only"));
    }
    CYTOPRESS_RETURN_IF_ERROR(ListClasses(path / kSplitNames[split], split, &classes, problems));
  }
  if (classes.size() > kMaxClasses) {
    return Bad(path, absl::StrCat("it has ", classes.size(), " class folders; at most ",
                                  kMaxClasses, " are supported"));
  }
  for (auto& [name, files] : classes) {
    for (File& file : files) {
      file.label = static_cast<int>(listing.class_names.size());
      listing.files.push_back(std::move(file));
    }
    listing.class_names.push_back(name);
  }
  return listing;
}

absl::StatusOr<Image> ReadImage(const fs::path& path, const Preprocessing& preprocessing) try {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path.string(), kMaxFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const Image image, DecodeImage(bytes));
  return Preprocess(image, preprocessing);
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to read the file");
}

absl::Status DecodeFile(const fs::path& path, const Preprocessing& preprocessing, uint8_t* out) {
  const absl::StatusOr<Image> image = ReadImage(path, preprocessing);
  if (!image.ok()) {
    return absl::Status(image.status().code(),
                        absl::StrCat(path.string(), ": ", image.status().message()));
  }
  std::memcpy(out, image->pixels.data(), image->pixels.size());
  return absl::OkStatus();
}

// The pixels of all files, one after another.
absl::StatusOr<std::vector<uint8_t>> DecodeFiles(const std::vector<File>& files,
                                                 const DatasetOptions& options, int64_t image_bytes,
                                                 Problems* problems) {
  const Preprocessing& preprocessing = options.folder_preprocessing;
  std::vector<uint8_t> pixels(files.size() * image_bytes);
  std::vector<absl::Status> statuses(files.size());
  std::atomic<size_t> next{0};
  std::atomic<bool> stopped{false};
  const std::thread::id caller = std::this_thread::get_id();
  const auto work = [&] {
    for (size_t i = next++; i < files.size() && !stopped; i = next++) {
      if (std::this_thread::get_id() == caller && options.should_stop()) stopped = true;
      statuses[i] = DecodeFile(files[i].path, preprocessing, &pixels[i * image_bytes]);
    }
  };
  RunOnAllCores(work);
  if (stopped) return LoadingStopped();
  for (absl::Status& status : statuses) problems->Add(std::move(status));
  return pixels;
}

// Files with the same pixels.
struct Group {
  std::string pixel_hash;
  std::vector<size_t> files;  // indices, in order
};
using Groups = std::vector<Group>;

// In the order of their first files.
Groups GroupDuplicates(const Listing& listing, const std::vector<uint8_t>& pixels,
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
    const File& file = listing.files[i];
    const File& first = listing.files[group.files[0]];
    if (file.label != first.label || (listing.has_splits && file.split != first.split)) {
      problems->Add(Bad(
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
void FillEmpty(std::array<Groups, kSplitCount>* splits) {
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
                        uint64_t seed, std::vector<File>* files) {
  if (groups.size() < kSplitCount) {
    return Bad(path / class_name,
               absl::StrCat("it has ", groups.size(), " different images; needed are at least ",
                            kSplitCount, ", one for each split"));
  }
  // Not by name: which images fill an empty split depends on their pixels alone as well.
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.pixel_hash < b.pixel_hash; });
  std::array<Groups, kSplitCount> splits;
  for (Group& group : groups) splits[SplitOf(DrawOf(group, seed))].push_back(std::move(group));
  FillEmpty(&splits);
  for (int split = 0; split < kSplitCount; ++split) {
    for (const Group& group : splits[split]) {
      for (const size_t file : group.files) (*files)[file].split = split;
    }
  }
  return absl::OkStatus();
}

void SplitFiles(const fs::path& path, const Groups& groups, uint64_t seed, Listing* listing,
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

absl::StatusOr<Dataset> EmptyDataset(const fs::path& path, const Listing& listing,
                                     const DatasetOptions& options) {
  const Preprocessing& wanted = options.folder_preprocessing;
  const auto [least, most] = std::minmax(wanted.width, wanted.height);
  if (least < 1 || most > kMaxImageSize || (wanted.channels != 1 && wanted.channels != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat("folder_preprocessing is to ", wanted.width, " x ", wanted.height,
                     " pixels of ", wanted.channels, " channels; needed are 1 to ", kMaxImageSize,
                     " pixels a side and 1 or 3 "
                     "channels"));
  }
  Dataset dataset;
  dataset.name = path.filename().string();
  dataset.class_names = listing.class_names;
  dataset.preprocessing = wanted;
  dataset.width = wanted.width;
  dataset.height = wanted.height;
  dataset.channels = wanted.channels;
  const int64_t count = static_cast<int64_t>(listing.files.size());
  if (count > options.max_bytes / dataset.image_bytes()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        path.string(), ": ", count, " images of ", dataset.image_bytes(), " bytes are over the ",
        "limit of ", options.max_bytes, "; a smaller data set may help"));
  }
  return dataset;
}

// Fills the splits. The training images, of which there are most, stay in `pixels`, moved together:
// a data set may take half of a machine's memory.
void FillSplits(const Listing& listing, std::vector<uint8_t> pixels, Dataset* dataset) {
  const int64_t image_bytes = dataset->image_bytes();
  std::array<int64_t, kSplitCount> counts = {};
  for (const File& file : listing.files) ++counts[file.split];
  const auto splits = dataset->splits();
  for (int split = 0; split < kSplitCount; ++split) {
    splits[split]->labels.reserve(counts[split]);
    if (split != 0) splits[split]->pixels.reserve(counts[split] * image_bytes);
  }
  uint8_t* train_end = pixels.data();
  const uint8_t* image = pixels.data();
  for (const File& file : listing.files) {
    Split* const split = splits[file.split];
    split->labels.push_back(file.label);
    if (file.split == 0) {
      std::memmove(train_end, image, image_bytes);
      train_end += image_bytes;
    } else {
      split->pixels.insert(split->pixels.end(), image, image + image_bytes);
    }
    image += image_bytes;
  }
  pixels.resize(counts[0] * image_bytes);
  dataset->train.pixels = std::move(pixels);
}

}  // namespace

absl::StatusOr<Dataset> LoadFolder(const std::string& uri, const DatasetOptions& options) {
  std::error_code error;
  const fs::path path = fs::canonical(uri, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot open ", uri));
  Problems problems;
  CYTOPRESS_ASSIGN_OR_RETURN(Listing listing, ListImages(path, &problems));
  CYTOPRESS_ASSIGN_OR_RETURN(Dataset dataset, EmptyDataset(path, listing, options));
  const int64_t image_bytes = dataset.image_bytes();
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<uint8_t> pixels,
                             DecodeFiles(listing.files, options, image_bytes, &problems));
  CYTOPRESS_RETURN_IF_ERROR(problems.Summary());
  const Groups groups = GroupDuplicates(listing, pixels, image_bytes, &problems);
  if (!listing.has_splits) SplitFiles(path, groups, options.seed, &listing, &problems);
  CYTOPRESS_RETURN_IF_ERROR(problems.Summary());
  FillSplits(listing, std::move(pixels), &dataset);
  CYTOPRESS_RETURN_IF_ERROR(SetClassNames(
      path.string(), static_cast<int>(listing.class_names.size()), options, &dataset));
  return dataset;
}

}  // namespace cytopress
