// classify and evaluate on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/artifact/artifact.h"
#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kClasses = 8;

// A rule in place of a network: the class is told by the bytes of the image.
int ClassOf(absl::string_view bytes) {
  unsigned sum = 0;
  for (const unsigned char byte : bytes) sum += byte;
  return static_cast<int>(sum % kClasses);
}

grpc::Status AnswerByRule(const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
  response->set_model("blood");
  response->set_model_version(2);
  for (const v1::ImageInput& image : request.images()) {
    const int predicted = ClassOf(image.has_raw() ? image.raw().pixels() : image.encoded());
    v1::Classification* result = response->add_results();
    for (int rank = 0; rank < (request.top_k() < 0 ? kClasses : request.top_k()); ++rank) {
      v1::ClassScore* score = result->add_classes();
      score->set_index((predicted + rank) % kClasses);
      score->set_name(absl::StrCat("class ", score->index()));
      score->set_probability(rank == 0 ? 0.3f : 0.1f);
    }
  }
  return grpc::Status::OK;
}

class CliClassifyTest : public CliTest {
 protected:
  CliClassifyTest() {
    service_.inference.answer = AnswerByRule;
    service_.models.model.set_name("blood");
    service_.models.model.set_version(2);
    for (int i = 0; i < kClasses; ++i) {
      service_.models.model.add_class_names(absl::StrCat("class ", i));
    }
  }

  // A file whose class by the rule is `index`.
  void AddFile(const std::string& relative, int index) {
    const std::string path = folder_ + "/" + relative;
    ASSERT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(path, std::string(1, static_cast<char>(8 + index))).ok());
  }

  // 00.png to 69.png: two requests, the second of six images and sent when the first is answered.
  void AddFilesOfTwoRequests() {
    for (int i = 0; i < 70; ++i) AddFile(absl::StrFormat("%02d.png", i), 3);
  }
};

TEST_F(CliClassifyTest, ClassifiesFilesAndFolders) {
  AddFile("b.png", 3);
  AddFile("cells/a.JPG", 5);
  AddFile("cells/notes.txt", 1);
  EXPECT_EQ(Run({"--json", "classify", "--top", "2", folder_ + "/b.png", folder_ + "/cells"}), 0);
  const Json json = OutJson();
  ASSERT_EQ(json["images"].size(), 2u);
  EXPECT_EQ(json["images"][0]["file"], folder_ + "/b.png");
  EXPECT_EQ(json["images"][0]["classes"][0]["index"], 3);
  EXPECT_EQ(json["images"][1]["classes"].size(), 2u);
  EXPECT_EQ(json["images"][1]["classes"][0]["name"], "class 5");
  EXPECT_EQ(Run({"classify", folder_ + "/b.png"}), 0);
  EXPECT_THAT(out(), HasSubstr("class 3      30.00 %"));
  EXPECT_THAT(out(), HasSubstr("1 image by blood@2"));
}

TEST_F(CliClassifyTest, ASummaryListsNoFilesInJsonEither) {
  AddFile("class_1/a.png", 1);
  EXPECT_EQ(Run({"--json", "classify", "--summary", "--truth", "folder", folder_}), 0);
  EXPECT_FALSE(OutJson().contains("images"));
  EXPECT_EQ(OutJson()["answered"], 1);
  EXPECT_EQ(OutJson()["right"], 1);
}

TEST_F(CliClassifyTest, CountsWhatIsRightByFolder) {
  AddFile("class_1/a.png", 1);
  AddFile("class_1/b.png", 2);
  AddFile("odd/c.png", 4);
  EXPECT_EQ(Run({"classify", "--truth", "folder", folder_}), 3);
  EXPECT_THAT(err(), HasSubstr("folder \"odd\" names no class"));
  const std::vector<std::string> with_alias = {"classify", "--truth",     "folder",
                                               "--alias",  "odd=class 4", folder_};
  EXPECT_EQ(Run(with_alias), 0);
  EXPECT_THAT(out(), HasSubstr("all           3      2   66.67 %"));
  EXPECT_THAT(out(), HasSubstr("class 1      30.00 %  class 1  yes\n"));
  EXPECT_THAT(out(), HasSubstr("class 2      30.00 %  class 1  no\n"));
  EXPECT_EQ(Run({"classify", "--truth", "folder", "--alias", "odd=class 4,even=class 2",
                 folder_ + "/odd/c.png", folder_ + "/class_1"}),
            0)
      << "the alias is one word: " << err();
}

TEST_F(CliClassifyTest, NamesWhatCannotBeRead) {
  EXPECT_EQ(Run({"classify", folder_ + "/missing.png"}), 3);
  EXPECT_THAT(err(), HasSubstr("missing.png"));
  EXPECT_EQ(Run({"classify", folder_}), 3);
  EXPECT_THAT(err(), HasSubstr("no .png"));
  AddFile("bad.png", 1);
  service_.inference.answer = [](const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    return BadField("images[0].encoded", "is no PNG");
  };
  EXPECT_EQ(Run({"classify", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("bad.png: is no PNG"));
}

TEST_F(CliClassifyTest, NamesTheFlagWhereTheServiceHasNoDefaultModel) {
  AddFile("class_1/a.png", 1);
  service_.inference.answer = [](const v1::ClassifyRequest& request, v1::ClassifyResponse*) {
    return request.model().empty()
               ? BadField("model", "is empty, and the server has no default model; name one of: a")
               : grpc::Status(grpc::StatusCode::NOT_FOUND, "no model is called that");
  };
  EXPECT_EQ(Run({"classify", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--model: is empty"));
  EXPECT_THAT(err(), HasSubstr("start cytopressd with --default-model"));
  EXPECT_EQ(Run({"classify", "--truth", "folder", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--model: is empty"));
  EXPECT_EQ(Run({"classify", "--model", "b", folder_}), 3);
  EXPECT_THAT(err(), HasSubstr("no model is called that"));
}

TEST_F(CliClassifyTest, ABadFileLeavesTheOthersTheirAnswers) {
  AddFile("class_1/a.png", 1);
  AddFile("class_1/bad.png", 2);
  AddFile("class_3/c.png", 3);
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    for (int i = 0; i < request.images_size(); ++i) {
      if (ClassOf(request.images(i).encoded()) == 2) {
        return BadField(absl::StrCat("images[", i, "].encoded"), "is no PNG");
      }
    }
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", "--truth", "folder", folder_}), 7);
  EXPECT_THAT(out(), HasSubstr("class_1/bad.png  error: is no PNG"));
  EXPECT_THAT(out(), HasSubstr("class 3"));
  EXPECT_THAT(out(), HasSubstr("all           2      2  100.00 %"));
  EXPECT_THAT(err(), HasSubstr("1 of 3 files failed; the first is "));
  EXPECT_EQ(Run({"--json", "classify", "--truth", "folder", folder_}), 7);
  EXPECT_EQ(Json::parse(err())["error"]["reason"], "FILES_FAILED");
  EXPECT_EQ(Json::parse(err())["error"]["metadata"]["failed"], "1");
  const Json json = OutJson();
  EXPECT_EQ(json["answered"], 2);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["images"][0]["right"], true);
  EXPECT_FALSE(json["images"][1].contains("right")) << "it has no answer";
  EXPECT_EQ(json["images"][0]["classes"][0]["index"], 1);
  EXPECT_EQ(json["images"][1]["error"], "is no PNG");
  EXPECT_EQ(json["images"][2]["classes"][0]["index"], 3);
}

TEST_F(CliClassifyTest, AMissingFileLeavesTheOthersTheirAnswers) {
  AddFile("class_1/a.png", 1);
  const std::string missing = folder_ + "/class_1/missing.png";
  EXPECT_EQ(Run({"classify", missing, "--truth", "folder", folder_ + "/class_1"}), 7);
  EXPECT_THAT(out(), HasSubstr("missing.png  error: there is no such file or folder"));
  EXPECT_THAT(out(), HasSubstr("30.00 %  class 1  yes"));
  EXPECT_THAT(err(), HasSubstr("1 of 2 files failed; the first is " + missing));
}

TEST_F(CliClassifyTest, PrintsWhatHasComeWhenTheServiceGoesAway) {
  AddFilesOfTwoRequests();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    if (request.images_size() < 64) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    }
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", folder_}), 4);
  EXPECT_THAT(out(), HasSubstr("63.png  class 3"));
  EXPECT_THAT(out(), HasSubstr("64.png  error: not classified"));
  EXPECT_THAT(out(), HasSubstr("64 images by blood@2"));
  EXPECT_THAT(err(), HasSubstr("lost the connection to cytopressd at 127.0.0.1:8500: Socket"));
  EXPECT_THAT(err(), Not(HasSubstr("TLS")));
  EXPECT_EQ(Run({"--json", "classify", folder_}), 4);
  EXPECT_EQ(OutJson()["answered"], 64);
  EXPECT_EQ(OutJson()["failed"], 6);
}

TEST_F(CliClassifyTest, PrintsWhatHasComeWhenItIsInterrupted) {
  AddFilesOfTwoRequests();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    raise(SIGINT);
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", folder_}), 130);
  EXPECT_THAT(out(), HasSubstr("63.png  class 3"));
  EXPECT_THAT(out(), HasSubstr("64.png  error: not classified: interrupted"));
  EXPECT_EQ(service_.inference.requests().size(), 1u);
}

TEST_F(CliClassifyTest, WritesItsAnswersAsCsv) {
  AddFile("class_1/a.png", 1);
  AddFile("class_1/b, \"c\".png", 2);
  const std::string csv = folder_ + "/answers.csv";
  const std::string cells = folder_ + "/class_1";
  EXPECT_EQ(Run({"classify", "--top", "2", "--csv", csv, "--summary", cells, folder_ + "/no"}), 7);
  const std::string quoted = absl::StrCat("\"", cells, "/b, \"\"c\"\".png\"");
  EXPECT_EQ(*ReadFile(csv, 1 << 20),
            absl::StrCat("file,class,probability,error\n",            //
                         cells, "/a.png,class 1,0.300000012,\n",      //
                         cells, "/a.png,class 2,0.100000001,\n",      //
                         quoted, ",class 2,0.300000012,\n",           //
                         quoted, ",class 3,0.100000001,\n", folder_,  //
                         "/no,,,there is no such file or folder\n"));
  EXPECT_EQ(Run({"classify", "--csv", "-", "--truth", "folder", cells}), 0);
  EXPECT_EQ(out(), absl::StrCat("file,class,probability,truth,right,error\n", cells,
                                "/a.png,class 1,0.300000012,class 1,true,\n", quoted,
                                ",class 2,0.300000012,class 1,false,\n"));
  EXPECT_THAT(err(), HasSubstr("2 images by blood@2"));
}

TEST_F(CliClassifyTest, WantsAPlaceForItsCsvBeforeItStarts) {
  AddFile("a.png", 1);
  EXPECT_EQ(Run({"classify", "--csv", folder_ + "/missing/a.csv", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("missing/a.csv"));
  EXPECT_EQ(Run({"--json", "classify", "--csv", "-", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--csv"));
  EXPECT_TRUE(service_.inference.requests().empty());
}

TEST_F(CliClassifyTest, SaysWhatIsOddAboutTheFiles) {
  const Image image{13, 13, 3, std::vector<uint8_t>(13 * 13 * 3, 0)};
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/large.png", *EncodePng(image)).ok());
  AddFile("photo.tif", 1);
  v1::Preprocessing* const preprocessing = service_.models.model.mutable_preprocessing();
  preprocessing->set_width(2);
  preprocessing->set_height(2);
  preprocessing->set_center_crop(4);
  EXPECT_EQ(Run({"classify", folder_}), 0);
  EXPECT_THAT(err(), HasSubstr("left out: 1 file (.tif) is not called"));
  EXPECT_THAT(err(), HasSubstr("1 of 1 images are more than three times as wide as the 4x4"));
  EXPECT_EQ(Run({"--json", "classify", folder_}), 0);
  EXPECT_EQ(err(), "");
  EXPECT_EQ(OutJson()["notes"].size(), 2u);
}

TEST_F(CliClassifyTest, AsksForTheModelAndVersionThatAreNamed) {
  AddFile("b.png", 3);
  const auto asked = [this] { return service_.inference.requests().back(); };
  EXPECT_EQ(Run({"classify", "--model", "blood@2", folder_}), 0);
  EXPECT_EQ(asked().model(), "blood");
  EXPECT_EQ(asked().model_version(), 2);
  EXPECT_EQ(Run({"classify", "--model", "blood", folder_}), 0);
  EXPECT_EQ(asked().model(), "blood");
  EXPECT_EQ(asked().model_version(), 0);
  EXPECT_EQ(Run({"classify", folder_}), 0);
  EXPECT_EQ(asked().model(), "");
  EXPECT_EQ(Run({"classify", "--model", "blood@1", "--truth", "folder", folder_}), 3);
  EXPECT_EQ(Run({"evaluate", "--model", "blood@1", "--dataset", "synthetic:400"}), 3);
}

TEST_F(CliClassifyTest, SendsAsManyRequestsAtATimeAsAreAllowed) {
  for (int i = 0; i < 5 * 64 + 1; ++i) AddFile(absl::StrCat(i, ".png"), 3);  // six requests
  service_.inference.answer = [this](const v1::ClassifyRequest& request,
                                     v1::ClassifyResponse* response) {
    service_.inference.AwaitActive(5);
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", "--model", "blood@2", "--in-flight", "5", folder_}), 0);
  EXPECT_EQ(service_.inference.requests().size(), 6u);
  EXPECT_EQ(service_.inference.most_active(), 5);
}

TEST_F(CliClassifyTest, ChecksFoldersAndAliasesBeforeItSends) {
  AddFile("odd/c.png", 4);
  const auto run = [this](const std::string& alias) {
    return Run({"classify", "--model", "blood", "--truth", "folder", "--alias", alias, folder_});
  };
  EXPECT_EQ(run("other=class 4"), 3);
  EXPECT_THAT(err(), HasSubstr("folder \"odd\" names no class"));
  EXPECT_EQ(run("odd=cloud"), 2);
  EXPECT_THAT(err(), HasSubstr("\"cloud\" is none of the model's classes"));
  EXPECT_EQ(Run({"classify", "--alias", "odd=class 4", folder_}), 2);
  EXPECT_TRUE(service_.inference.requests().empty());
}

TEST_F(CliClassifyTest, EvaluateScoresTheSplitAndComparesWithTheModel) {
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
class EvaluateFolderTest : public CliClassifyTest {
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

TEST_F(CliClassifyTest, EvaluateWantsAPlaceForItsCsvBeforeItStarts) {
  EXPECT_EQ(Run({"evaluate", "--model", "blood", "--dataset", "synthetic:400", "--csv",
                 folder_ + "/missing/a.csv"}),
            2);
  EXPECT_THAT(err(), HasSubstr("missing/a.csv"));
  EXPECT_TRUE(service_.inference.requests().empty());
}

TEST_F(CliClassifyTest, EvaluateDoesNotCompareDifferentData) {
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
