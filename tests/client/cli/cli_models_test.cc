// Models on the command line.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/base/sha256.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(CliTest, ModelsListsAllPagesAndShowsOne) {
  service_.models.model = BloodModel();
  EXPECT_EQ(Run({"--json", "models"}), 0);
  EXPECT_EQ(OutJson()["models"].size(), 2u);
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_THAT(out(), HasSubstr("blood@2  resnet50  int8"));
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("ACC 96.12 %"));
  EXPECT_THAT(out(), HasSubstr("1 monocyte  94.8 %   3  55"));
  EXPECT_THAT(out(), Not(HasSubstr("images:")));
  v1::Preprocessing* const preprocessing = service_.models.model.mutable_preprocessing();
  preprocessing->set_width(28);
  preprocessing->set_height(28);
  preprocessing->set_center_crop(200);
  preprocessing->set_jpeg_quality(75);
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(),
              HasSubstr("images:     RGB, 28x28 pixels as they are; of others 200x200 pixels "
                        "from the centre, scaled to 28x28 and saved once as JPEG of quality "
                        "75\n"));
  preprocessing->set_height(20);
  preprocessing->clear_center_crop();
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("the largest part of that shape from the centre, scaled to 28x20"));
  EXPECT_EQ(Run({"models", "blood@2"}), 0);
  EXPECT_EQ(Run({"models", "blood@1"}), 3);
  EXPECT_EQ(Run({"models", "bone"}), 3);
  EXPECT_EQ(Run({"models", "blood@first"}), 2);
}

TEST_F(CliTest, ModelsHaveFewerColumnsOnANarrowTerminal) {
  const ScopedEnvironment zone("TZ", "UTC");
  v1::Model model = BloodModel();
  model.mutable_evaluations(0)->set_accuracy_low(0.9552);
  model.mutable_evaluations(0)->set_accuracy_high(0.9672);
  model.mutable_provenance()->set_dataset_name("bloodmnist");
  model.mutable_provenance()->mutable_created()->set_seconds(1700000000);
  service_.models.model = model;
  const std::vector<std::string> expendable = {"network", "data set", "split", "made", "±"};
  const std::vector<int> columns = {117, 116, 106, 94, 80, 65};  // from the second: too few for one
  for (size_t lost = 0; lost < columns.size(); ++lost) {
    terminal_columns_ = columns[lost];
    EXPECT_EQ(Run({"models"}), 0);
    const std::vector<std::string> lines = absl::StrSplit(out(), '\n');
    for (size_t i = 0; i < expendable.size(); ++i) {
      EXPECT_EQ(absl::StrContains(lines[0], expendable[i]), i >= lost)
          << expendable[i] << " at " << columns[lost];
    }
    for (const std::string& line : lines) {
      EXPECT_LE(static_cast<int>(WidthOf(line)), columns[lost]) << line;
    }
  }
  terminal_columns_ = 0;
  EXPECT_EQ(Run({"models"}), 0);
  for (const std::string& heading : expendable) EXPECT_THAT(out(), HasSubstr(heading));
  EXPECT_THAT(out(), HasSubstr("96.12 %  0.6"));
}

TEST_F(CliTest, SaysWhereWeightsAreOfTwoTypes) {
  v1::Model model = BloodModel();
  model.set_weights(v1::WEIGHT_TYPE_INT4);
  auto& layers = *model.mutable_provenance()
                      ->mutable_spec()
                      ->mutable_recipe()
                      ->mutable_quantize()
                      ->mutable_layer_weights();
  layers["layer1.0.conv1"] = v1::WEIGHT_TYPE_INT8;
  layers["layer1.0.conv2"] = v1::WEIGHT_TYPE_INT4;
  service_.models.model = model;
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_THAT(out(), HasSubstr("blood@2  resnet50  int4/int8"));
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("int4/int8 by layer, 1 layer INT8 by the recipe, "));
  layers.clear();
  model.mutable_provenance()->mutable_spec()->mutable_goal();
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("int4/int8 by layer, as the search chose, "));
}

TEST_F(CliTest, ShowsTheCertificate) {
  v1::Model model = BloodModel();
  model.mutable_evaluations(0)->set_accuracy_low(0.9542);
  model.mutable_evaluations(0)->set_accuracy_high(0.9672);
  model.mutable_evaluations(0)->set_auc(0.9981);
  model.mutable_evaluations(0)->set_auc_low(0.9975);
  model.mutable_evaluations(0)->set_auc_high(0.9987);
  EXPECT_EQ((service_.models.model = model, Run({"models", "blood"})), 0);
  EXPECT_THAT(out(), Not(HasSubstr("certificate")));
  v1::Certificate* certificate = model.mutable_certificate();
  certificate->set_parent("blood-dense@1");
  certificate->mutable_parent_test()->set_images(3421);
  certificate->mutable_parent_test()->set_accuracy(0.9632);
  certificate->mutable_parent_test()->set_auc(0.9984);
  certificate->mutable_parent_test()->add_class_recall(0.9762);
  certificate->mutable_parent_test()->add_class_recall(0.9655);
  certificate->set_only_parent_right(12);
  certificate->set_only_model_right(9);
  certificate->set_mcnemar_p_value(0.6636);
  certificate->set_lowest_recall_class(1);
  certificate->set_lowest_recall(0.9483);
  certificate->mutable_weights_only_test()->set_accuracy(0.9622);
  certificate->set_latency_seconds(0.00325);
  certificate->set_engine("onednn-int8");
  certificate->set_processor("a processor");
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  for (const char* text :
       {"against blood-dense@1", "96.12 % (95 % interval 95.42 % to 96.72 %)",
        "0.20 points below the dense model's 96.32 %", "0.9981 (95 % interval 0.9975 to 0.9987)",
        "no significant difference", "12 images only that one gets right, 9 only this one",
        "difference       0.09 points lost (95 % interval -0.20 to 0.38)",
        "94.83 %, monocyte, dense 96.55 %", "ACC 96.22 %", "3.25 ms for one image",
        "onednn-int8, a processor"}) {
    EXPECT_THAT(out(), HasSubstr(text));
  }
}

TEST_F(CliTest, ACertificateWithoutAParentComparesNothing) {
  v1::Model model = BloodModel();
  model.mutable_certificate()->set_latency_seconds(0.00325);
  service_.models.model = model;
  EXPECT_EQ(Run({"models", "blood"}), 0);
  EXPECT_THAT(out(), HasSubstr("certificate: blood@2, "));
  EXPECT_THAT(out(), HasSubstr("3.25 ms for one image"));
  for (const char* text : {"against", "dense model", ", dense", "McNemar"}) {
    EXPECT_THAT(out(), Not(HasSubstr(text)));
  }
}

TEST_F(CliTest, DeleteWantsAVersion) {
  EXPECT_EQ(Run({"delete", "blood"}), 2);
  EXPECT_EQ(service_.models.deleted, "");
  EXPECT_EQ(Run({"delete", "blood@2"}), 0);
  EXPECT_EQ(service_.models.deleted, "blood@2");
}

TEST_F(CliTest, DeleteTakesSeveralVersions) {
  EXPECT_EQ(Run({"delete", "blood@1", "blood"}), 2);
  EXPECT_THAT(service_.models.all_deleted, IsEmpty());
  EXPECT_EQ(Run({"delete", "blood@1", "bone@3"}), 0);
  EXPECT_THAT(service_.models.all_deleted, ElementsAre("blood@1", "bone@3"));
  EXPECT_EQ(out(), "deleted blood@1\ndeleted bone@3\n");
}

TEST_F(CliTest, DownloadsTheFormatOfTheFilesEnding) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  service_.models.sha256 = Sha256Hex("bytes");
  const auto format = [this](const std::string& name, const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"download", "blood", "-o", folder_ + "/" + name};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run(arguments), 0) << err();
    return service_.models.format;
  };
  EXPECT_EQ(format("blood.onnx", {}), v1::MODEL_FORMAT_ONNX);
  EXPECT_EQ(format("blood.cyp", {}), v1::MODEL_FORMAT_CYTOPRESS);
  EXPECT_EQ(format("blood.onnx", {"--format", "cyp"}), v1::MODEL_FORMAT_CYTOPRESS);
  EXPECT_EQ(format("blood", {"--format", "onnx"}), v1::MODEL_FORMAT_ONNX);
}

TEST_F(CliTest, DownloadVerifies) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  const std::string path = folder_ + "/blood.cyp";
  EXPECT_EQ(Run({"download", "blood", "-o", path}), 0);
  EXPECT_EQ(*ReadFile(path, 100), "bytes");
  const std::string nowhere = folder_ + "/no/blood.cyp";
  EXPECT_EQ(Run({"download", "blood", "-o", nowhere}), 2) << "as evaluate --csv";
  EXPECT_THAT(err(), HasSubstr("cannot write " + nowhere + ": "));
  EXPECT_EQ(Run({"download", "blood", "-o", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("it is a folder"));
  service_.models.chunks = {"other"};
  EXPECT_EQ(Run({"download", "blood", "-o", path}), 1);
  EXPECT_EQ(*ReadFile(path, 100), "bytes");
}

TEST_F(CliTest, DownloadIntoAPipeWritesTheModelAlone) {
  service_.models.model = BloodModel();
  service_.models.chunks = {"bytes"};
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_EQ(Run({"download", "blood", "-o", pipe}), 0);
  EXPECT_EQ(out(), "");
  EXPECT_THAT(err(), HasSubstr("verified"));
  EXPECT_EQ(Run({"--json", "download", "blood", "-o", pipe}), 0);
  EXPECT_EQ(out(), "");
  service_.models.chunks = {"other"};
  EXPECT_EQ(Run({"download", "blood", "-o", pipe}), 1);
  EXPECT_THAT(err(), HasSubstr("has got them all the same"));
  close(reader);
}

}  // namespace
}  // namespace cytopress
