// Files that are damaged, cut off or made to deceive: an error, never a crash or much memory.
#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "core/artifact/artifact.h"
#include "core/artifact/checks.h"
#include "core/artifact/container.h"
#include "core/artifact/manifest.h"
#include "core/artifact/tensor_codec.h"
#include "core/network/network.h"
#include "tests/core/artifact/sample_artifact.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

void ExpectError(const std::string& file, absl::StatusCode code, const std::string& message) {
  const absl::Status status = ParseArtifact(file).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(DamageTest, EveryFlippedByteIsFound) {
  std::string file = SampleFile();
  for (size_t at = 0; at < file.size(); at += at < 4096 ? 1 : 29) {
    file[at] ^= static_cast<char>(1 << (at % 8));
    ASSERT_FALSE(ParseArtifact(file).ok()) << "byte " << at;
    file[at] = SampleFile()[at];
  }
}

TEST(DamageTest, EveryCutIsFound) {
  const absl::string_view file = SampleFile();
  for (size_t size = 0; size < file.size(); size += size < 4096 ? 1 : 31) {
    ASSERT_FALSE(ParseArtifact(file.substr(0, size)).ok()) << size << " bytes";
  }
  ASSERT_FALSE(ParseArtifact(file.substr(0, file.size() - 1)).ok());
  ASSERT_FALSE(ParseArtifact(SampleFile() + "x").ok());
}

TEST(DamageTest, DamageAndAbuseAreToldApart) {
  std::string file = SampleFile();
  file[file.size() / 2] ^= 1;
  EXPECT_EQ(ParseArtifact(file).status(),
            absl::DataLossError("the model file is damaged or cut off: its checksum does not "
                                "match; download or copy it again"));
}

// With right checksums the parser itself must cope. Whatever passes must be a valid artifact.
TEST(DamageTest, SurvivesAnyManifest) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const absl::string_view frames = VerifiedFrames(SampleFile(), head).value();
  for (size_t at = 0; at < head.manifest.size(); at += 97) {
    std::string manifest = head.manifest;
    manifest[at] ^= static_cast<char>(1 << (at % 8));
    const std::string file = WriteContainer(manifest, frames).value();
    ParseManifest(file).IgnoreError();
    const absl::StatusOr<Artifact> artifact = ParseArtifact(file);
    if (!artifact.ok()) continue;
    ASSERT_EQ(CheckArtifact(*artifact, *BuildNetwork(artifact->network)), absl::OkStatus())
        << "byte " << at;
  }
}

TEST(DamageTest, SurvivesAnyFrames) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const std::string frames(VerifiedFrames(SampleFile(), head).value());
  for (size_t at = 0; at < frames.size(); at += 401) {
    std::string changed = frames;
    changed[at] ^= static_cast<char>(1 << (at % 8));
    const absl::StatusOr<Artifact> artifact =
        ParseArtifact(WriteContainer(head.manifest, changed).value());
    // zstd has bits that mean nothing; then the content must be the same.
    if (!artifact.ok()) continue;
    ASSERT_TRUE(*SerializeArtifact(*artifact) == SampleFile()) << "byte " << at;
  }
}

void ExpectRefused(const std::function<void(v1::Manifest&)>& edit, const std::string& message) {
  const absl::Status status = ParseArtifact(EditManifest(SampleFile(), edit)).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(DamageTest, LyingManifests) {
  using M = v1::Manifest;
  ExpectRefused([](M& m) { m.mutable_frames(1)->set_raw_bytes(int64_t{1} << 60); }, "its tensors");
  ExpectRefused([](M& m) { m.mutable_frames(1)->set_raw_bytes(-1); }, "its tensors");
  ExpectRefused([](M& m) { m.mutable_frames(1)->set_stored_bytes(-1); }, "does not fit");
  ExpectRefused([](M& m) { m.mutable_frames(1)->set_stored_bytes(int64_t{1} << 60); },
                "does not fit");
  ExpectRefused([](M& m) { m.mutable_frames(1)->clear_sha256(); }, "checksum of a frame");
  ExpectRefused([](M& m) { m.mutable_frames(1)->clear_tensors(); }, "missing");
  ExpectRefused([](M& m) { *m.add_frames() = m.frames(1); }, "appears twice");
  ExpectRefused([](M& m) { m.mutable_frames()->SwapElements(1, 2); }, "damaged");
  ExpectRefused([](M& m) { m.clear_frames(); }, "missing");
  ExpectRefused([](M& m) { *m.add_activation_ranges() = m.activation_ranges(0); }, "two for");
  ExpectRefused([](M& m) { m.mutable_network()->set_classes(1000); }, "class_names");
  ExpectRefused([](M& m) { m.set_class_names(2, m.class_names(0)); }, "is there twice");
  ExpectRefused([](M& m) { m.set_weights(static_cast<v1::WeightType>(9)); }, "weights");
}

TEST(DamageTest, LyingSizes) {
  using S = v1::ModelSize;
  const auto expect_refused = [](const std::function<void(S&)>& edit, const std::string& message) {
    ExpectRefused([&](v1::Manifest& m) { edit(*m.mutable_size()); }, message);
  };
  expect_refused([](S& s) { s.set_parameters(1); },
                 "size.parameters: the manifest states 1; the model has ");
  expect_refused([](S& s) { s.set_nonzero_parameters(s.nonzero_parameters() + 1); },
                 "size.nonzero_parameters");
  expect_refused([](S& s) { s.set_dense_bytes(0); }, "size.dense_bytes");
  expect_refused([](S& s) { s.set_packed_bytes(-1); }, "size.packed_bytes");
  expect_refused([](S& s) { s.set_disk_bytes(1); }, "size.disk_bytes");
  expect_refused([](S& s) { s.set_sparsity(s.sparsity() - 1e-6); }, "size.sparsity");
  expect_refused([](S& s) { s.set_sparsity(std::numeric_limits<double>::quiet_NaN()); },
                 "size.sparsity: the manifest states nan");
}

TEST(DamageTest, ALaterReleaseMayStateMoreOfASize) {
  const auto edit = [](v1::Manifest& manifest) {
    v1::ModelSize* const size = manifest.mutable_size();
    size->GetReflection()->MutableUnknownFields(size)->AddVarint(100, 7);
    size->set_sparsity(size->sparsity() + 1e-12);
  };
  EXPECT_EQ(ParseArtifact(EditManifest(SampleFile(), edit)).status(), absl::OkStatus());
}

TEST(DamageTest, HugeShapesAreRefusedBeforeTheyAreMultiplied) {
  ExpectRefused(
      [](v1::Manifest& m) {
        v1::TensorEntry* tensor = m.mutable_frames(1)->mutable_tensors(0);
        for (int i = 0; i < tensor->shape_size(); ++i) tensor->set_shape(i, int64_t{1} << 62);
      },
      "has the shape");
  ExpectRefused([](v1::Manifest& m) { m.mutable_frames(0)->mutable_tensors(0)->add_shape(-5); },
                "has the shape");
}

TEST(DamageTest, ManifestSizeIsBounded) {
  std::string file = SampleFile();
  file[24 + 4] = 1;  // manifest_raw = 2^32 and more
  ExpectError(file, absl::StatusCode::kDataLoss, "does not fit");
  EXPECT_EQ(WriteContainer(std::string(kMaxManifestBytes + 1, 'x'), "").status().code(),
            absl::StatusCode::kResourceExhausted);
}

// Half a megabyte of empty messages would take a hundred times as much in memory.
TEST(DamageTest, FieldsOfAManifestAreBounded) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const absl::string_view frames = VerifiedFrames(SampleFile(), head).value();
  const auto expect = [&](const std::string& added, absl::StatusCode code) {
    const std::string file = WriteContainer(head.manifest + added, frames).value();
    EXPECT_EQ(ParseArtifact(file).status().code(), code);
    EXPECT_EQ(ParseManifest(file).status().code(), code);
  };
  v1::Manifest many;
  for (int i = 0; i < 1000; ++i) many.add_ledger();
  expect(many.SerializeAsString(), absl::StatusCode::kOk);
  for (int i = 0; i < 300000; ++i) many.add_ledger();
  expect(many.SerializeAsString(), absl::StatusCode::kResourceExhausted);
  many.Clear();
  v1::DatasetSource* dataset = many.mutable_provenance()->mutable_spec()->mutable_dataset();
  for (int i = 0; i < 300000; ++i) dataset->add_class_names("");
  expect(many.SerializeAsString(), absl::StatusCode::kResourceExhausted);
  std::string unknown;  // field 20, varint 0
  for (int i = 0; i < 300000; ++i) unknown.append("\xa0\x01\0", 3);
  expect(unknown, absl::StatusCode::kResourceExhausted);
  expect("\xa3\x01\xa4\x01", absl::StatusCode::kDataLoss);  // a group
}

// A cell of a confusion matrix may take a byte here and eight in memory.
TEST(DamageTest, NumbersOfAManifestAreBounded) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const absl::string_view frames = VerifiedFrames(SampleFile(), head).value();
  const auto refusal = [&](const std::string& added) {
    const std::string file = WriteContainer(head.manifest + added, frames).value();
    const absl::Status status = ParseArtifact(file).status();
    EXPECT_EQ(ParseManifest(file).status(), status);
    return status;
  };
  const auto too_many = [](const absl::Status& status) {
    return absl::IsResourceExhausted(status) &&
           absl::StrContains(status.message(), "more than 4259840 numbers");
  };
  // Of the sample's four classes they are too many, which is only seen when they were parsed.
  const auto matrices = [](int count, int cell) {
    v1::Manifest manifest;
    for (int i = 0; i < count; ++i) {
      manifest.add_evaluations()->mutable_confusion()->Resize(kMaxClasses * kMaxClasses, cell);
    }
    return manifest.SerializeAsString();
  };
  EXPECT_THAT(std::string(refusal(matrices(4, 1)).message()), HasSubstr("cells of a confusion"));
  EXPECT_THAT(std::string(refusal(matrices(4, 200)).message()), HasSubstr("cells of a confusion"))
      << "two bytes each";
  EXPECT_PRED1(too_many, refusal(matrices(5, 0)));
  v1::Manifest shape;
  shape.add_frames()->add_tensors()->mutable_shape()->Resize(5 << 20, 0);
  EXPECT_PRED1(too_many, refusal(shape.SerializeAsString()));
  EXPECT_EQ(refusal(std::string("\x3a\x03\x4a\x05\x01", 5)).code(), absl::StatusCode::kDataLoss)
      << "five bytes of cells, of which there is one";
}

TEST(DamageTest, FramesMustSayTheirSize) {
  EXPECT_EQ(
      Decompress(Compress(std::string(100, 'x'), Packing::kQuick).value(), 1 << 30).status().code(),
      absl::StatusCode::kDataLoss);
  EXPECT_EQ(Decompress("", 0).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Decompress(Compress("", Packing::kQuick).value(), 0).value(), "");
}

// The first frame of its own is that of one convolution.
std::string WithFirstConvolution(const std::function<void(StoredTensor&)>& edit) {
  const ContainerHead head = ReadContainerHead(SampleFile()).value();
  const v1::Manifest manifest = ParseManifestMessage(head.manifest).value();
  StoredTensor tensor = SampleArtifact().tensors.at(manifest.frames(1).tensors(0).name());
  const TensorLayout layout = ChooseLayout(tensor);
  edit(tensor);
  std::string raw;
  AppendPacked(tensor, layout, raw);
  return ReplaceFrame(SampleFile(), 1, raw);
}

TEST(DamageTest, ValuesAreCheckedOnReading) {
  EXPECT_TRUE(ParseArtifact(WithFirstConvolution([](StoredTensor&) {})).ok());
  const auto to_minus_8 = [](StoredTensor& tensor) {
    *std::find_if(tensor.integers.begin(), tensor.integers.end(), [](int8_t q) { return q != 0; }) =
        -8;
  };
  ExpectError(WithFirstConvolution(to_minus_8), absl::StatusCode::kInvalidArgument, "holds -8");
  const auto to_infinity = [](StoredTensor& tensor) {
    tensor.scales[0] = std::numeric_limits<float>::infinity();
  };
  ExpectError(WithFirstConvolution(to_infinity), absl::StatusCode::kInvalidArgument, "scale inf");
}

TEST(DamageTest, LyingLayouts) {
  const auto expect_refused = [](const std::function<void(v1::TensorEntry&)>& edit,
                                 const std::string& message) {
    ExpectRefused([&](v1::Manifest& m) { edit(*m.mutable_frames(1)->mutable_tensors(0)); },
                  message);
  };
  using Entry = v1::TensorEntry;
  expect_refused([](Entry& e) { e.set_nonzeros(int64_t{1} << 60); }, "cannot have");
  expect_refused([](Entry& e) { e.set_nonzeros(-1); }, "cannot have");
  expect_refused([](Entry& e) { e.set_sparse(false); }, "cannot have");
  expect_refused([](Entry& e) { e.set_nonzeros(e.nonzeros() + 2); }, "its tensors");
  // Within the same half byte only the mask tells.
  expect_refused([](Entry& e) { e.set_nonzeros(e.nonzeros() + (e.nonzeros() % 2 == 0 ? -1 : 1)); },
                 "mask");
}

}  // namespace
}  // namespace cytopress
