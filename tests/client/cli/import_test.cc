#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "tests/client/cli/cli_fixture.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/safetensors/write_safetensors.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kZip = "PK\x03\x04";  // begins one

class ImportTest : public CliTest {
 protected:
  ImportTest() {
    spec_.architecture = "resnet18";
    spec_.stem = Stem::kCifar;
    spec_.classes = 3;
    spec_.input_height = spec_.input_width = 12;
  }

  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = absl::StrCat(folder_, "/", name);
    EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
    return path;
  }
  std::string Weights() {
    return WriteSafetensors(DequantizeAll(RandomArtifact(spec_, v1::WEIGHT_TYPE_FP32)));
  }

  NetworkSpec spec_;
};

TEST_F(ImportTest, SendsAModelsFileAsItIs) {
  const std::string bytes = *SerializeArtifact(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT4));
  const std::string path = Write("cells.cyp", bytes);
  service_.models.model.set_version(4);
  EXPECT_EQ(Run({"import", path, "--name", "cells"}), 0) << err();
  EXPECT_EQ(service_.models.uploaded, bytes);
  EXPECT_THAT(out(), HasSubstr("cytopress evaluate --model cells@4"));
  EXPECT_EQ(err(), "") << "no terminal, no line of how far it is";
  EXPECT_EQ(Run({"import", path, "--name", "cells", "--image-size", "12"}), 2);
  EXPECT_THAT(err(), HasSubstr("give --name only"));
}

TEST_F(ImportTest, SaysWhenTheNewestVersionIsTheSameFile) {
  const std::string path =
      Write("cells.cyp", *SerializeArtifact(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT4)));
  service_.models.model.set_name("cells");
  service_.models.model.set_version(4);
  EXPECT_EQ(Run({"import", path, "--name", "cells"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("cells@4 is this very file already; no version was added\n"));
  service_.models.published_version = 5;
  EXPECT_EQ(Run({"import", path, "--name", "cells"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("cells@5"));
  EXPECT_THAT(out(), Not(HasSubstr("already")));
}

TEST_F(ImportTest, MakesAModelOfWeights) {
  const std::string path = Write("weights.safetensors", Weights());
  EXPECT_EQ(Run({"--json", "import", path, "--name", "cells", "--stem", "cifar", "--image-size",
                 "12", "--center-crop", "10", "--mean", "0.4,0.5,0.6", "--stddev", "0.25",
                 "--class-names", "a,b,c"}),
            0)
      << err();
  EXPECT_EQ(OutJson()["name"], "cells");
  const absl::StatusOr<Artifact> sent = ParseArtifact(service_.models.uploaded);
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(sent->network, spec_);
  EXPECT_EQ(sent->preprocessing.center_crop, 10);
  EXPECT_THAT(sent->preprocessing.mean, testing::ElementsAre(0.4f, 0.5f, 0.6f));
  EXPECT_THAT(sent->preprocessing.stddev, testing::ElementsAre(0.25f, 0.25f, 0.25f));
  EXPECT_THAT(sent->class_names, testing::ElementsAre("a", "b", "c"));
}

TEST_F(ImportTest, SaysWhatIsMissingOrWrong) {
  const std::string path = Write("weights.safetensors", Weights());
  const auto complaint = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"import", path, "--name", "cells"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run(arguments), 2);
    EXPECT_THAT(service_.models.uploaded, IsEmpty());
    return err();
  };
  EXPECT_THAT(complaint({}), HasSubstr("give --image-size, --mean, --stddev"));
  EXPECT_THAT(complaint({"--image-size", "12", "--mean", "0.5"}), HasSubstr("give --stddev as"));
  const std::vector<std::string> plain = {"--image-size", "12", "--mean", "0.5", "--stddev", "0.5"};
  EXPECT_THAT(complaint(plain), HasSubstr("weights.safetensors: stem: "));
  std::vector<std::string> zero = plain;
  zero.back() = "0";
  zero.insert(zero.end(), {"--stem", "cifar"});
  EXPECT_THAT(complaint(zero), HasSubstr("standard deviation 0 of channel 0"));
  std::vector<std::string> names = plain;
  names.insert(names.end(), {"--stem", "cifar", "--class-names", "a,b"});
  EXPECT_THAT(complaint(names), HasSubstr("class_names: 2 names for 3 classes"));
}

TEST_F(ImportTest, TellsHowToWriteWeightsThatTorchHasSaved) {
  for (const std::string& begin : {kZip + "weights/data.pkl", std::string("\x80\x02...")}) {
    EXPECT_EQ(Run({"import", Write("weights.pth", begin), "--name", "cells"}), 2);
    EXPECT_THAT(err(), HasSubstr("weights.pth is a file of torch.save()"));
    EXPECT_THAT(err(), HasSubstr("safetensors.torch.save_file(model.state_dict()"));
  }
}

TEST_F(ImportTest, TellsOtherFilesBeforeItAsksForFlags) {
  const auto complaint = [this](const std::string& name, const std::string& bytes) {
    EXPECT_EQ(Run({"import", Write(name, bytes), "--name", "cells"}), 2);
    EXPECT_THAT(err(), Not(HasSubstr("--image-size")));
    return err();
  };
  EXPECT_THAT(complaint("a", kZip + "train_images.npy"), HasSubstr("a file of NumPy (.npz)"));
  EXPECT_THAT(complaint("a", kZip + "readme.txt"), HasSubstr("is a ZIP archive"));
  EXPECT_THAT(complaint("a.onnx", ""), HasSubstr("is an ONNX model, which cannot be imported"));
  EXPECT_THAT(complaint("a", "\x08\x08\x12\x07pytorch"), HasSubstr("is an ONNX model"));
  EXPECT_THAT(complaint("a", "notes of a day"), HasSubstr("is no safetensors file"));
}

TEST_F(ImportTest, ADamagedFileIsNamed) {
  const std::string path =
      Write("cells.cyp", *SerializeArtifact(RandomArtifact(spec_, v1::WEIGHT_TYPE_INT4)));
  for (const auto code : {grpc::StatusCode::DATA_LOSS, grpc::StatusCode::INVALID_ARGUMENT}) {
    service_.models.upload_end = grpc::Status(code, "the model file is cut off");
    EXPECT_EQ(Run({"import", path, "--name", "cells"}), 2);
    EXPECT_THAT(err(), HasSubstr("cells.cyp: the model file is cut off"));
  }
}

TEST_F(ImportTest, NeedsAFileAndAName) {
  EXPECT_EQ(Run({"import", folder_ + "/none", "--name", "cells"}), 3);
  EXPECT_EQ(Run({"import", Write("f", "x"), "--name", "No Name"}), 2);
  EXPECT_EQ(Run({"import", Write("f", "12345678{"), "--name", "x", "--image-size", "9", "--mean",
                 "0", "--stddev", "1"}),
            2);
  EXPECT_THAT(err(), HasSubstr("not a safetensors file"));
}

}  // namespace
}  // namespace cytopress
