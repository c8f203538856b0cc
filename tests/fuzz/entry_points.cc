#include "tests/fuzz/entry_points.h"

#include <google/protobuf/stubs/logging.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/artifact/container.h"
#include "core/dataset/npy.h"
#include "core/dataset/npz.h"
#include "core/dataset/zip.h"
#include "core/image/codec.h"
#include "core/image/image.h"
#include "core/network/network.h"
#include "core/safetensors/import.h"
#include "core/safetensors/safetensors.h"
#include "tests/core/artifact/sample_artifact.h"
#include "tests/core/dataset/npz_builder.h"
#include "tests/core/safetensors/write_safetensors.h"

namespace cytopress {
namespace {

// A broken promise of the parser, reported the way a fuzzer understands.
void Require(bool promise) {
  if (!promise) std::abort();
}

// A file with a path that is on no disk.
class MemoryFile {
 public:
  explicit MemoryFile(absl::string_view bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    Require(fd_ >= 0);
    Require(write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  const int fd_;
};

void RunImage(absl::string_view bytes) {
  DecodeLimits limits;
  limits.max_pixels = 1 << 16;
  const absl::StatusOr<ImageSize> size = ReadImageSize(bytes);
  const absl::StatusOr<Image> image = DecodeImage(bytes, limits);
  if (!image.ok()) return;
  Require(size.ok());
  Require(int64_t{size->width} * size->height == int64_t{image->width} * image->height);
  Require(CheckImage(*image).ok());
  Require(int64_t{image->width} * image->height <= limits.max_pixels);
  const absl::StatusOr<Image> small = Preprocess(*image, Preprocessing{});
  Require(small.ok() && small->pixels.size() == 28 * 28 * 3);
}

void RunNpz(absl::string_view bytes) {
  DatasetOptions options;
  options.max_bytes = 1 << 20;
  const MemoryFile file(bytes);
  const absl::StatusOr<Dataset> dataset = LoadNpz(file.path(), options);
  if (!dataset.ok()) return;
  for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
    Require(split->size() > 0);
    Require(static_cast<int64_t>(split->pixels.size()) == split->size() * dataset->image_bytes());
    for (const int label : split->labels) Require(label >= 0 && label < dataset->classes());
  }
}

void RunNpy(absl::string_view bytes) {
  const absl::StatusOr<NpyHeader> header = ParseNpyDictionary("fuzz.npy", bytes);
  if (!header.ok()) return;
  for (const int64_t extent : header->shape) Require(extent >= 0);
  Require(ElementCount(header->shape) >= -1);
}

void RunZip(absl::string_view bytes) {
  const MemoryFile file(bytes);
  const absl::StatusOr<ZipArchive> archive = ZipArchive::Open(file.path());
  if (!archive.ok()) return;
  std::string buffer(4096, '\0');
  for (const ZipMember& member : archive->members()) {
    Require(archive->Find(member.name) == &member);
    absl::StatusOr<std::unique_ptr<ZipMemberReader>> reader = archive->OpenMember(member);
    if (!reader.ok()) continue;
    int64_t left = std::min<int64_t>(member.bytes, 1 << 20);
    bool good = true;
    while (good && left > 0) {
      const int64_t count = std::min<int64_t>(left, buffer.size());
      good = (*reader)->Read(count, buffer.data()).ok();
      left -= count;
    }
    if (good) (*reader)->Finish().IgnoreError();
  }
}

// Damage to a whole file never gets past its checksum, so the manifest is what varies, under one
// that is right.
void RunManifest(absl::string_view bytes) {
  static const absl::string_view* const frames = [] {
    const ContainerHead head = *ReadContainerHead(SampleFile());
    return new absl::string_view(*VerifiedFrames(SampleFile(), head));
  }();
  const absl::StatusOr<std::string> file = WriteContainer(bytes, *frames);
  if (!file.ok()) return;
  const google::protobuf::LogSilencer silencer;
  ParseManifest(*file).IgnoreError();
  const absl::StatusOr<Artifact> artifact = ParseArtifact(*file);
  if (!artifact.ok()) return;
  Require(!artifact->class_names.empty());
  Require(SerializeArtifact(*artifact).ok());
}

void RunSafetensors(absl::string_view bytes) {
  const absl::StatusOr<TensorMap> tensors = ReadSafetensors(bytes);
  ImportOptions options;
  options.stem = Stem::kCifar;
  const absl::StatusOr<Artifact> artifact = ImportSafetensors(bytes, options);
  Require(tensors.ok() || !artifact.ok());
  if (!tensors.ok()) return;
  int64_t values = 0;
  for (const auto& [name, tensor] : *tensors) {
    int64_t count = 1;
    for (const int64_t extent : tensor.shape) count *= extent;
    Require(count == static_cast<int64_t>(tensor.values.size()));
    values += count;
  }
  // Of the smallest type each takes two bytes.
  Require(2 * values <= static_cast<int64_t>(bytes.size()));
}

std::vector<std::string> ManifestSeeds() { return {ReadContainerHead(SampleFile())->manifest}; }

std::vector<std::string> ImageSeeds() {
  std::vector<std::string> seeds;
  for (const int channels : {1, 3}) {
    Image image{19, 11, channels, {}};
    for (int i = 0; i < 19 * 11 * channels; ++i) {
      image.pixels.push_back(static_cast<uint8_t>(i * i / 7));
    }
    seeds.push_back(*EncodePng(image));
    seeds.push_back(*EncodeJpeg(image, 60));
  }
  return seeds;
}

// The first and the last layer of a network, since a whole one is too large to fuzz; and a tensor
// of each type.
std::vector<std::string> SafetensorsSeeds() {
  const TensorMap ends = {{"conv1.weight", {{2, 1, 3, 3}, std::vector<float>(18, 0.5f)}},
                          {"fc.weight", {{2, 4}, std::vector<float>(8, -1.0f)}},
                          {"fc.bias", {{2}, {0.0f, 1.0f}}}};
  const std::string types = R"({
    "a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]},
    "b": {"dtype": "F32", "shape": [], "data_offsets": [8, 12]},
    "c": {"dtype": "F16", "shape": [1, 2], "data_offsets": [12, 16]},
    "d": {"dtype": "BF16", "shape": [2], "data_offsets": [16, 20]},
    "e": {"dtype": "I64", "shape": [], "data_offsets": [20, 28]},
    "f": {"dtype": "F32", "shape": [0, 3], "data_offsets": [28, 28]}})";
  return {WriteSafetensors(ends), WriteSafetensors(ends, "module."),
          SafetensorsFile(types, std::string(28, '\x3c'))};
}

std::vector<std::string> NpzSeeds() {
  std::vector<std::string> seeds;
  for (const bool deflate : {false, true}) {
    for (const bool zip64 : {false, true}) {
      std::vector<ZipEntry> entries = ValidMembers();
      for (ZipEntry& entry : entries) {
        entry.deflate = deflate;
        entry.zip64 = zip64;
      }
      seeds.push_back(BuildZip(entries));
    }
  }
  return seeds;
}

std::vector<std::string> NpySeeds() {
  return {"{'descr': '|u1', 'fortran_order': False, 'shape': (11959, 28, 28, 3), }\n",
          "{\"shape\": (5L,), \"fortran_order\": True, \"descr\": \"<i8\"}",
          "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (), }"};
}

}  // namespace

const std::vector<FuzzEntryPoint>& FuzzEntryPoints() {
  static const std::vector<FuzzEntryPoint>* const entry_points =
      new std::vector<FuzzEntryPoint>{{"image", RunImage, ImageSeeds},
                                      {"npz", RunNpz, NpzSeeds},
                                      {"npy", RunNpy, NpySeeds},
                                      {"zip", RunZip, NpzSeeds},
                                      {"manifest", RunManifest, ManifestSeeds, 200},
                                      {"safetensors", RunSafetensors, SafetensorsSeeds, 1000}};
  return *entry_points;
}

const FuzzEntryPoint* FindFuzzEntryPoint(absl::string_view name) {
  for (const FuzzEntryPoint& entry_point : FuzzEntryPoints()) {
    if (entry_point.name == name) return &entry_point;
  }
  return nullptr;
}

}  // namespace cytopress
