// evaluate on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/artifact/artifact.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "tests/client/cli/classify_fixture.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using CliEvaluateTest = ClassifyFixture;

TEST_F(CliEvaluateTest, ScoresTheSplitAndComparesWithTheModel) {
  const absl::StatusOr<Dataset> dataset = LoadDataset("synthetic:400");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  int64_t right = 0;
  for (int64_t i = 0; i < dataset->test.size(); ++i) {
    const absl::string_view pixels(
        reinterpret_cast<const char*>(dataset->test.pixels.data()) + i * dataset->image_bytes(),
        dataset->image_bytes());
    right += ClassOf(pixels) == dataset->test.labels[i] ? 1 : 0;
  }
  const double accuracy = static_cast<double>(right) / dataset->test.size();
  v1::Model* model = &service_.models.model;
  model->mutable_provenance()->set_dataset_hash(dataset->content_hash);
  v1::Evaluation* stored = model->add_evaluations();
  stored->set_split("test");
  stored->set_accuracy(accuracy);

  const std::string csv = folder_ + "/scores.csv";
  const std::vector<std::string> command = {"--json",    "evaluate",      "--model", "blood",
                                            "--dataset", "synthetic:400", "--csv",   csv};
  EXPECT_EQ(Run(command), 0) << err();
  const Json json = OutJson();
  EXPECT_EQ(json["model_version"], ToJson(service_.models.model)["version"]);
  EXPECT_FALSE(json["measured"].contains("engine")) << "it is not known here";
  EXPECT_DOUBLE_EQ(json["measured"]["accuracy"], accuracy);
  EXPECT_DOUBLE_EQ(json["stored"]["accuracy"], accuracy);
  const std::vector<std::string> rows =
      absl::StrSplit(*ReadFile(csv, 1 << 20), '\n', absl::SkipEmpty());
  ASSERT_EQ(rows.size(), static_cast<size_t>(dataset->test.size()));
  const std::vector<std::string> cells = absl::StrSplit(rows[1], ',');
  EXPECT_EQ(cells.size(), 1u + kClasses);
  EXPECT_EQ(cells[0], "1");

  stored->set_accuracy(accuracy + 0.01);
  stored->set_auc(json["measured"]["auc"]);
  EXPECT_EQ(
      Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--tolerance", "0.02"}),
      0);
  EXPECT_EQ(
      Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--tolerance", "1e-6"}),
      1);
  EXPECT_THAT(err(), HasSubstr("--tolerance"));
  stored->set_accuracy(accuracy);
  stored->set_auc(stored->auc() - 0.01);
  EXPECT_EQ(
      Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--tolerance", "1e-6"}),
      1);
  EXPECT_EQ(
      Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--tolerance", "0.02"}),
      0);
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--split", "val",
                 "--tolerance", "1"}),
            1);
  EXPECT_THAT(err(), HasSubstr("the model stores no figures of val"));
}

// A folder data set in which every split has one image of each class, right by the rule when
// `names[i]` is the model's class i.
class EvaluateFolderTest : public ClassifyFixture {
 protected:
  void WriteFolders(const std::vector<std::string>& names) {
    for (const char* split : {"train", "val", "test"}) {
      for (size_t i = 0; i < names.size(); ++i) {
        Image image{4, 4, 3, std::vector<uint8_t>(48, 0)};
        image.pixels[0] = static_cast<uint8_t>(8 + i);
        image.pixels[1 + split[2] % 8] = 8;  // no two splits share an image
        Write(absl::StrCat(split, "/", names[i], "/a.png"), image);
      }
    }
  }

  void Write(const std::string& relative, const Image& image) {
    const std::string path = absl::StrCat(folder_, "/", relative);
    ASSERT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(path, *EncodePng(image)).ok());
  }

  void TakeImagesOf(int side, int center_crop) {
    v1::Preprocessing* preprocessing = service_.models.model.mutable_preprocessing();
    preprocessing->set_width(side);
    preprocessing->set_height(side);
    preprocessing->set_channels(3);
    preprocessing->set_center_crop(center_crop);
  }

  int Evaluate(const std::string& alias = "") {
    std::vector<std::string> command = {"--json", "evaluate",  "--model",
                                        "blood",  "--dataset", folder_};
    if (!alias.empty()) command.insert(command.end(), {"--alias", alias});
    return Run(command);
  }
};

TEST_F(EvaluateFolderTest, MatchesClassesByName) {
  TakeImagesOf(4, 0);
  // In the alphabet, "zoster" comes last; in the model, "class 3" stands there.
  WriteFolders({"class 0", "class 1", "class 2", "zoster", "class 4", "class 5", "class 6", "b"});
  EXPECT_EQ(Evaluate(), 3);
  for (const char* text : {"has the 8 classes b, class 0,", "the model's classes are class 0, ",
                           "--alias \"b=CLASS\""}) {
    EXPECT_THAT(Json::parse(err())["error"]["message"].get<std::string>(), HasSubstr(text));
  }
  EXPECT_EQ(Evaluate("zoster=class 3,b=class 6"), 2);
  EXPECT_THAT(err(), HasSubstr("name the model's class class 6"));
  EXPECT_TRUE(service_.inference.requests().empty());
  const std::string csv = folder_ + "/scores.csv";
  EXPECT_EQ(Run({"--json", "evaluate", "--model", "blood", "--dataset", folder_, "--csv", csv,
                 "--alias", "zoster=class 3,b=class 7"}),
            0)
      << err();
  EXPECT_DOUBLE_EQ(OutJson()["measured"]["accuracy"], 1);
  // Its columns are the data set's classes: the first image is of the first, "b".
  EXPECT_THAT(*ReadFile(csv, 1000), HasSubstr("0,0.300000012,0.100000001,"));
}

TEST_F(EvaluateFolderTest, SaysWhatItsErrorsAreTakenFor) {
  TakeImagesOf(4, 0);
  WriteFolders(
      {"class 0", "class 1", "class 2", "class 3", "class 4", "class 5", "class 6", "class 7"});
  Image image{4, 4, 3, std::vector<uint8_t>(48, 0)};
  image.pixels[0] = 13;  // class 5 by the rule
  image.pixels[40] = 8;
  Write("test/class 1/b.png", image);
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", folder_}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("class 0  100.00 %  1 of 1\n"));
  EXPECT_THAT(out(), HasSubstr("class 1   50.00 %  1 of 2  class 5 (1 of 1)\n"));
  EXPECT_THAT(out(), HasSubstr("confusion (rows: truth, columns: prediction)\n"));
  EXPECT_THAT(out(), HasSubstr("1 class 1  0  1  0  0  0  1  0  0\n"));
}

TEST_F(EvaluateFolderTest, SaysHowFilesOfSomeClassesAreCompared) {
  TakeImagesOf(4, 0);
  Write("test/class 0/a.png", Image{4, 4, 3, std::vector<uint8_t>(48, 0)});
  EXPECT_EQ(Evaluate(), 2);
  EXPECT_THAT(err(), HasSubstr("no folder train"));
  EXPECT_THAT(err(), HasSubstr("cytopress classify --truth folder"));
  WriteFolders({"class 0", "class 1"});
  EXPECT_EQ(Evaluate(), 2);
  EXPECT_THAT(err(), HasSubstr("has the 8 classes"));
  EXPECT_THAT(err(), HasSubstr("cytopress classify --truth folder"));
}

TEST_F(EvaluateFolderTest, ClassesWithoutNamesGoByTheirPosition) {
  TakeImagesOf(4, 0);
  WriteFolders({"a", "b", "c", "d", "e", "f", "g", "h"});
  EXPECT_EQ(Evaluate(), 0) << err();
  EXPECT_DOUBLE_EQ(OutJson()["measured"]["accuracy"], 1);
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", folder_}), 0);
  EXPECT_THAT(out(), HasSubstr("go by their position, a first"));
}

TEST_F(EvaluateFolderTest, NumbersTheModelsOwnDataAsItsJobDid) {
  TakeImagesOf(4, 0);
  WriteFolders({"h", "g", "f", "e", "d", "c", "b", "a"});  // "h" is 7 in the alphabet, 0 here
  DatasetOptions options;
  options.folder_preprocessing = FromProto(service_.models.model.preprocessing());
  const absl::StatusOr<Dataset> dataset = LoadDataset(folder_, options);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  v1::Model* const model = &service_.models.model;
  model->mutable_provenance()->set_dataset_hash(dataset->content_hash);
  const auto accuracy = [this](const std::string& alias = "") {
    EXPECT_EQ(Evaluate(alias), 0) << err();
    return OutJson()["measured"]["accuracy"].get<double>();
  };
  EXPECT_DOUBLE_EQ(accuracy(), 0) << "other names: by number";
  EXPECT_DOUBLE_EQ(accuracy("a=class 7,b=class 6,c=class 5,d=class 4,e=class 3,f=class 2,"
                            "g=class 1,h=class 0"),
                   1)
      << "an alias is heeded";
  // The base model's order of the names that the job gave to the folders.
  for (int i = kClasses - 1; i >= 0; --i) {
    model->mutable_provenance()->mutable_spec()->mutable_dataset()->add_class_names(
        absl::StrCat("class ", i));
  }
  EXPECT_DOUBLE_EQ(accuracy(), 1);
  // The base model's order of the folders' own names.
  model->mutable_provenance()->clear_spec();
  model->clear_class_names();
  for (const char* name : {"h", "g", "f", "e", "d", "c", "b", "a"}) model->add_class_names(name);
  EXPECT_DOUBLE_EQ(accuracy(), 1);
}

TEST_F(EvaluateFolderTest, ASplitOfOneClassHasNoAucAndIsCompared) {
  TakeImagesOf(4, 0);
  WriteFolders(
      {"class 0", "class 1", "class 2", "class 3", "class 4", "class 5", "class 6", "class 7"});
  for (int i = 1; i < kClasses; ++i) {
    std::filesystem::remove_all(absl::StrCat(folder_, "/test/class ", i));
  }
  DatasetOptions options;
  v1::Model* const model = &service_.models.model;
  options.folder_preprocessing = FromProto(model->preprocessing());
  const absl::StatusOr<Dataset> dataset = LoadDataset(folder_, options);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  model->mutable_provenance()->set_dataset_hash(dataset->content_hash);
  v1::Evaluation* const stored = model->add_evaluations();
  stored->set_split("test");
  stored->set_accuracy(1);
  stored->set_auc(std::nan(""));
  const std::vector<std::string> command = {"evaluate", "--model",     "blood", "--dataset",
                                            folder_,    "--tolerance", "1e-6"};
  EXPECT_EQ(Run(command), 0) << err();
  EXPECT_THAT(out(), Not(HasSubstr("nan")));
  stored->set_auc(0.5);
  EXPECT_EQ(Run(command), 1) << "only one of them has an AUC";
}

TEST_F(EvaluateFolderTest, ScoresAllSplitsAndSaysWhatTheModelHasSeen) {
  TakeImagesOf(4, 0);
  WriteFolders(
      {"class 0", "class 1", "class 2", "class 3", "class 4", "class 5", "class 6", "class 7"});
  const std::vector<std::string> all = {"--json",    "evaluate", "--model", "blood",
                                        "--dataset", folder_,    "--split", "all"};
  EXPECT_EQ(Run(all), 0) << err();
  EXPECT_EQ(OutJson()["measured"]["images"], "24");
  EXPECT_DOUBLE_EQ(OutJson()["measured"]["accuracy"], 1);
  EXPECT_FALSE(OutJson().contains("seen_in_training")) << "other data";
  const std::vector<v1::ClassifyRequest> requests = service_.inference.requests();
  ASSERT_EQ(requests.size(), 1u);
  // Where each split's images have a mark of it.
  EXPECT_EQ(requests[0].images(0).raw().pixels()[1 + 'a' % 8], 8);
  EXPECT_EQ(requests[0].images(kClasses).raw().pixels()[1 + 'l' % 8], 8);
  EXPECT_EQ(requests[0].images(2 * kClasses).raw().pixels()[1 + 's' % 8], 8);
  DatasetOptions options;
  options.folder_preprocessing = FromProto(service_.models.model.preprocessing());
  const absl::StatusOr<Dataset> dataset = LoadDataset(folder_, options);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  service_.models.model.mutable_provenance()->set_dataset_hash(dataset->content_hash);
  EXPECT_EQ(Run(all), 0) << err();
  EXPECT_EQ(OutJson()["seen_in_training"], kClasses);
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", folder_, "--split", "train"}), 0);
  EXPECT_THAT(out(), HasSubstr("the model was trained on up to 8 images of these"));
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", folder_}), 0);
  EXPECT_THAT(out(), Not(HasSubstr("trained on")));
}

TEST_F(EvaluateFolderTest, PreparesImagesAsTheModelTakesThem) {
  service_.models.model.clear_class_names();
  for (const char* name : {"a", "b"}) service_.models.model.add_class_names(name);
  TakeImagesOf(4, 8);
  Preprocessing preprocessing;
  preprocessing.width = preprocessing.height = 4;
  preprocessing.center_crop = 8;
  std::vector<std::string> expected;
  int seed = 0;
  for (const char* split : {"train", "val", "test"}) {
    for (const char* name : {"a", "b"}) {
      Image image{16, 16, 3, {}};
      for (int i = 0; i < 16 * 16 * 3; ++i) image.pixels.push_back(i * (7 + seed) % 251);
      ++seed;
      Write(absl::StrCat(split, "/", name, "/a.png"), image);
      if (absl::string_view(split) != "test") continue;
      const Image small = *Preprocess(image, preprocessing);
      expected.emplace_back(small.pixels.begin(), small.pixels.end());
    }
  }
  EXPECT_EQ(Evaluate(), 0) << err();
  std::vector<std::string> sent;
  for (const v1::ClassifyRequest& request : service_.inference.requests()) {
    for (const v1::ImageInput& image : request.images()) sent.push_back(image.raw().pixels());
  }
  EXPECT_EQ(sent, expected);
}

TEST_F(CliEvaluateTest, WantsAPlaceForItsCsvBeforeItStarts) {
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--csv",
                 folder_ + "/missing/a.csv"}),
            2);
  EXPECT_THAT(err(), HasSubstr("missing/a.csv"));
  EXPECT_TRUE(service_.inference.requests().empty());
}

TEST_F(CliEvaluateTest, ACsvOnStandardOutputIsThereAlone) {
  std::vector<std::string> command = {"evaluate",      "--model", "blood", "--dataset",
                                      "synthetic:400", "--csv",   "-"};
  for (const char* name : {"-", "/dev/stdout"}) {
    command.back() = name;
    EXPECT_EQ(Run(command), 0) << err();
    const std::vector<std::string> rows = absl::StrSplit(out(), '\n', absl::SkipEmpty());
    for (const std::string& row : rows) {
      EXPECT_EQ(std::count(row.begin(), row.end(), ','), kClasses) << row;
    }
    EXPECT_THAT(out(), HasSubstr("0,0."));
    EXPECT_THAT(err(), HasSubstr("ACC"));
  }
  EXPECT_FALSE(std::filesystem::exists("-"));
  const size_t requests = service_.inference.requests().size();
  command.insert(command.begin(), "--json");
  EXPECT_EQ(Run(command), 2);
  EXPECT_THAT(err(), HasSubstr("--csv: /dev/stdout is where --json writes as well"));
  EXPECT_EQ(out(), "");
  EXPECT_EQ(service_.inference.requests().size(), requests);
}

// Of the 64 images of a first request, for the second is not answered.
class PartialEvaluateTest : public ClassifyFixture {
 protected:
  PartialEvaluateTest() {
    const absl::StatusOr<Dataset> dataset = LoadDataset("synthetic:400");
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    images_ = dataset->train.size();
    v1::Model* const model = &service_.models.model;
    model->mutable_provenance()->set_dataset_hash(dataset->content_hash);
    model->add_evaluations()->set_split("train");
  }

  int Evaluate(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"evaluate", "--model", "blood", "--dataset", "synthetic:400",
                                 "--split", "train", "--in-flight", "1", "--tolerance", "1"});
    return Run(flags);
  }

  void ExpectPartial() {
    EXPECT_THAT(out(), HasSubstr(absl::StrCat("PARTIAL: 64 of ", images_, " images")));
    EXPECT_THAT(out(), HasSubstr("train: 64 images in"));
    EXPECT_THAT(out(), HasSubstr("errors mostly taken for"));
    EXPECT_THAT(out(), Not(HasSubstr("stores no figures")));
  }

  int64_t images_ = 0;
};

TEST_F(PartialEvaluateTest, PrintsWhatHasComeWhenItIsInterrupted) {
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    raise(SIGINT);
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Evaluate({}), 130);
  ExpectPartial();
  const std::string csv = folder_ + "/scores.csv";
  EXPECT_EQ(Evaluate({"--json", "--csv", csv}), 130);
  EXPECT_EQ(OutJson()["measured"]["images"], "64");
  EXPECT_EQ(OutJson()["not_classified"], images_ - 64);
  EXPECT_TRUE(OutJson()["stored"].is_null()) << "those are of all images";
  const std::string rows = *ReadFile(csv, 1 << 20);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 64);
  EXPECT_THAT(rows, HasSubstr("\n63,"));
}

TEST_F(PartialEvaluateTest, PrintsWhatHasComeWhenTheServiceGoesAway) {
  int answered = 0;
  service_.inference.answer = [&answered](const v1::ClassifyRequest& request,
                                          v1::ClassifyResponse* response) {
    if (answered++ > 0) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Evaluate({}), 4);
  ExpectPartial();
  EXPECT_THAT(err(), HasSubstr("lost the connection"));
}

TEST_F(PartialEvaluateTest, SaysThatThereIsNothingYet) {
  service_.inference.answer = [](const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    raise(SIGINT);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  };
  EXPECT_EQ(Evaluate({}), 130);
  EXPECT_EQ(err(), "cytopress: interrupted before the first answer\n");
}

TEST_F(CliEvaluateTest, DoesNotCompareDifferentData) {
  v1::Model* model = &service_.models.model;
  model->mutable_provenance()->set_dataset_hash("another");
  model->add_evaluations()->set_split("test");
  model->clear_class_names();
  const absl::StatusOr<Dataset> dataset = LoadDataset("synthetic:400");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  for (const std::string& name : dataset->class_names) model->add_class_names(name);
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--json"}), 0);
  EXPECT_TRUE(OutJson()["stored"].is_null());
  model->add_class_names("a ninth");
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400"}), 2);
  EXPECT_THAT(err(), HasSubstr("8 classes"));
}

}  // namespace
}  // namespace cytopress
