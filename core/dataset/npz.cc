#include "core/dataset/npz.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/optional.h"
#include "core/base/status_macros.h"
#include "core/dataset/class_names.h"
#include "core/dataset/npy.h"
#include "core/dataset/zip.h"
#include "core/network/network.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxSide = 4096;
constexpr int64_t kBytesBetweenStops = int64_t{16} << 20;

absl::Status Bad(absl::string_view who, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(who, ": ", what));
}

// One member, opened and its header read.
struct Array {
  std::string who;  // "file.npz: member 'train_images.npy'"
  NpyHeader header;
  int64_t element_bytes = 1;
  std::unique_ptr<ZipMemberReader> reader;
};

// 0 when it is no integer type that is read.
int64_t IntegerBytes(absl::string_view dtype) {
  if (dtype == "|u1" || dtype == "|i1") return 1;
  for (const int64_t bytes : {2, 4, 8}) {
    if (dtype == absl::StrCat("<u", bytes) || dtype == absl::StrCat("<i", bytes)) return bytes;
  }
  return 0;
}

absl::StatusOr<Array> OpenArray(const ZipArchive& archive, const std::string& key, bool images) {
  const ZipMember* member = archive.Find(absl::StrCat(key, ".npy"));
  if (member == nullptr) {
    std::vector<std::string> found;
    for (const ZipMember& other : archive.members()) {
      if (found.size() < 12) found.push_back(other.name);
    }
    return Bad(archive.path(),
               absl::StrCat("no member '", key, ".npy'; found ", absl::StrJoin(found, ", "),
                            "; needed are {train,val,test}_{images,labels}.npy"));
  }
  Array array;
  array.who = absl::StrCat(archive.path(), ": member '", member->name, "'");
  CYTOPRESS_ASSIGN_OR_RETURN(array.reader, archive.OpenMember(*member));
  CYTOPRESS_ASSIGN_OR_RETURN(array.header, ReadNpyHeader(array.who, array.reader.get()));
  const NpyHeader& header = array.header;
  array.element_bytes = IntegerBytes(header.dtype);
  if (images ? header.dtype != "|u1" : array.element_bytes == 0) {
    return Bad(array.who, absl::StrCat("dtype '", header.dtype, "'; needed is ",
                                       images ? "'|u1' (uint8)"
                                              : "a little-endian integer type, such as '|u1'"));
  }
  if (header.fortran_order) {
    return Bad(array.who, "it is in Fortran order; needed is C order (numpy.ascontiguousarray)");
  }
  // Before anybody takes memory by the shape.
  const int64_t elements = ElementCount(header.shape);
  const int64_t data_bytes = member->bytes - header.data_offset;
  if (elements < 0 || elements != data_bytes / array.element_bytes ||
      data_bytes % array.element_bytes != 0) {
    return Bad(array.who,
               absl::StrCat("shape ", ShapeString(header.shape), " of dtype '", header.dtype,
                            "' does not fit the ", data_bytes, " bytes of data that it holds"));
  }
  return array;
}

// How many channels images of this shape have; 0 when it is none of images.
int ChannelsOf(const std::vector<int64_t>& shape) {
  if (shape.size() == 3) return 1;
  const bool images = shape.size() == 4 && (shape[3] == 1 || shape[3] == 3);
  return images ? static_cast<int>(shape[3]) : 0;
}

// The size of the first images becomes the data set's; others need to have it, too.
absl::Status CheckImages(const Array& array, Dataset* dataset) {
  const std::vector<int64_t>& shape = array.header.shape;
  const int channels = ChannelsOf(shape);
  if (channels == 0) {
    return Bad(array.who, absl::StrCat("shape ", ShapeString(shape),
                                       "; needed is (N, height, width) or (N, height, width, 1) "
                                       "for gray images, or (N, height, width, 3)"));
  }
  if (shape[0] < 1) return Bad(array.who, "it has no images; every split needs at least one");
  for (const int64_t side : {shape[1], shape[2]}) {
    if (side < 1 || side > kMaxSide) {
      return Bad(array.who, absl::StrCat("shape ", ShapeString(shape),
                                         ": the sides need to be 1 to ", kMaxSide, " pixels"));
    }
  }
  if (dataset->height == 0) {
    dataset->height = static_cast<int>(shape[1]);
    dataset->width = static_cast<int>(shape[2]);
    dataset->channels = channels;
  } else if (shape[1] != dataset->height || shape[2] != dataset->width ||
             channels != dataset->channels) {
    return Bad(array.who,
               absl::StrCat("shape ", ShapeString(shape), ", but the training images are ",
                            dataset->height, " x ", dataset->width, " x ", dataset->channels,
                            "; all splits need one size"));
  }
  return absl::OkStatus();
}

absl::Status CheckLabels(const Array& array, int64_t images) {
  const std::vector<int64_t>& shape = array.header.shape;
  if (shape.size() == 2 && shape[1] > 1) {
    return Bad(array.who, absl::StrCat("shape ", ShapeString(shape), " is a multi-label task; ",
                                       "only one label an image, (N, 1) or (N,), is supported"));
  }
  if (shape.empty() || shape.size() > 2 || (shape.size() == 2 && shape[1] != 1)) {
    return Bad(array.who, absl::StrCat("shape ", ShapeString(shape), "; needed is (N, 1) or (N,)"));
  }
  if (shape[0] != images) {
    return Bad(array.who, absl::StrCat("it has ", shape[0], " labels for ", images, " images"));
  }
  return absl::OkStatus();
}

struct SplitArrays {
  Array images, labels;
};

// Checks all that can be known before labels and pixels are decompressed, which may take a minute.
// Sets the size of the data set's images.
absl::StatusOr<std::vector<SplitArrays>> OpenSplits(const ZipArchive& archive, int64_t max_bytes,
                                                    Dataset* dataset) {
  std::vector<SplitArrays> splits;
  for (const absl::string_view name : kSplitNames) {
    SplitArrays& split = splits.emplace_back();
    CYTOPRESS_ASSIGN_OR_RETURN(split.images,
                               OpenArray(archive, absl::StrCat(name, "_images"), /*images=*/true));
    CYTOPRESS_RETURN_IF_ERROR(CheckImages(split.images, dataset));
    CYTOPRESS_ASSIGN_OR_RETURN(split.labels,
                               OpenArray(archive, absl::StrCat(name, "_labels"), /*images=*/false));
    CYTOPRESS_RETURN_IF_ERROR(CheckLabels(split.labels, split.images.header.shape[0]));
  }
  int64_t bytes_left = max_bytes;
  for (const SplitArrays& split : splits) {
    const Array& images = split.images;
    const int64_t bytes = ElementCount(images.header.shape);
    if (bytes > bytes_left) {
      return absl::ResourceExhaustedError(
          absl::StrCat(images.who, ": shape ", ShapeString(images.header.shape), " takes ", bytes,
                       " bytes, which brings the data set over its limit of ", max_bytes,
                       "; use a smaller size of the set"));
    }
    bytes_left -= bytes;
  }
  return splits;
}

absl::Status ReadImages(Array* array, const DatasetOptions& options, Split* split) {
  const int64_t bytes = ElementCount(array->header.shape);
  // Addresses only: memory is taken piece by piece, for a member may hold less than it says.
  split->pixels.reserve(bytes);
  while (split->pixels.size() < static_cast<size_t>(bytes)) {
    if (options.should_stop()) return LoadingStopped();
    const auto done = static_cast<int64_t>(split->pixels.size());
    const int64_t count = std::min(kBytesBetweenStops, bytes - done);
    split->pixels.resize(done + count);
    CYTOPRESS_RETURN_IF_ERROR(
        array->reader->Read(count, reinterpret_cast<char*>(split->pixels.data() + done)));
  }
  return array->reader->Finish();
}

// A little-endian integer of `bytes` bytes as int64_t; nullopt for an uint64 beyond it.
absl::optional<int64_t> DecodeInteger(const char* in, int64_t bytes, bool is_signed) {
  uint64_t value = 0;
  for (int64_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(in[i]);
  const int shift = static_cast<int>(64 - 8 * bytes);
  if (is_signed) return static_cast<int64_t>(value << shift) >> shift;
  if (value >> 63) return absl::nullopt;
  return static_cast<int64_t>(value);
}

absl::Status ReadLabels(Array* array, Split* split) {
  const int64_t images = array->header.shape[0];
  const int64_t width = array->element_bytes;
  const bool is_signed = array->header.dtype[1] == 'i';
  split->labels.reserve(images);
  std::vector<char> piece;
  while (split->size() < images) {
    const int64_t count = std::min<int64_t>(images - split->size(), 8192);
    piece.resize(count * width);
    CYTOPRESS_RETURN_IF_ERROR(array->reader->Read(count * width, piece.data()));
    for (int64_t i = 0; i < count; ++i) {
      const absl::optional<int64_t> label =
          DecodeInteger(piece.data() + i * width, width, is_signed);
      if (!label.has_value() || *label < 0 || *label >= kMaxClasses) {
        return Bad(array->who,
                   absl::StrCat("label ", label.has_value() ? absl::StrCat(*label) : "over 2^63",
                                " of image ", split->size(), "; needed is 0 to ", kMaxClasses - 1));
      }
      split->labels.push_back(static_cast<int>(*label));
    }
  }
  return array->reader->Finish();
}

// Its images are square, as what is cut from its photographs: oblong ones would see that distorted.
bool IsBloodMnist(const Dataset& dataset, int classes) {
  return dataset.train.size() == 11959 && dataset.val.size() == 1712 &&
         dataset.test.size() == 3421 && classes == 8 && dataset.channels == 3 &&
         dataset.width == dataset.height;
}

// BloodMNIST's own preparation; of other data sets nothing but the size is known.
void SetPreprocessing(bool blood_mnist, Dataset* dataset) {
  Preprocessing& preprocessing = dataset->preprocessing;
  preprocessing.width = dataset->width;
  preprocessing.height = dataset->height;
  preprocessing.channels = dataset->channels;
  preprocessing.mean.assign(dataset->channels, 0.5f);
  preprocessing.stddev.assign(dataset->channels, 0.5f);
  if (blood_mnist) {
    preprocessing.center_crop = 200;
    preprocessing.jpeg_quality = 75;
  }
}

int CountClasses(const Dataset& dataset) {
  int largest = 0;
  for (const Split* split : dataset.splits()) {
    largest = std::max(largest, *std::max_element(split->labels.begin(), split->labels.end()));
  }
  return largest + 1;
}

}  // namespace

absl::StatusOr<Dataset> LoadNpz(const std::string& path, const DatasetOptions& options) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ZipArchive archive, ZipArchive::Open(path));
  Dataset dataset;
  dataset.name = std::filesystem::path(path).stem().string();
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<SplitArrays> arrays,
                             OpenSplits(archive, options.max_bytes, &dataset));
  const auto splits = dataset.splits();
  for (size_t i = 0; i < splits.size(); ++i) {
    CYTOPRESS_RETURN_IF_ERROR(ReadLabels(&arrays[i].labels, splits[i]));
  }
  const int classes = CountClasses(dataset);
  const bool blood_mnist = IsBloodMnist(dataset, classes);
  SetPreprocessing(blood_mnist, &dataset);
  if (blood_mnist) dataset.class_names = BloodMnistClassNames();
  CYTOPRESS_RETURN_IF_ERROR(SetClassNames(path, classes, options, &dataset));
  // Last, for it takes longest.
  for (size_t i = 0; i < splits.size(); ++i) {
    CYTOPRESS_RETURN_IF_ERROR(ReadImages(&arrays[i].images, options, splits[i]));
  }
  return dataset;
}

}  // namespace cytopress
