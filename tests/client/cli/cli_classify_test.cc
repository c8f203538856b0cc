// classify on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <sstream>
#include <streambuf>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/classify_results.h"
#include "core/image/image.h"
#include "tests/client/cli/classify_fixture.h"
#include "tests/client/cli/standard_input.h"

namespace cytopress {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class CliClassifyTest : public ClassifyFixture {
 protected:
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
  EXPECT_EQ(OutJson()["by_class"],
            Json::parse(R"([{"class": "class 1", "images": 1, "right": 1}])"));
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
  EXPECT_THAT(out(), ContainsRegex("63.png +class 3"));
  EXPECT_THAT(out(), Not(HasSubstr("64.png")));
  EXPECT_THAT(out(), HasSubstr("64 images by blood@2"));
  EXPECT_THAT(err(), HasSubstr("64 of 70 images are classified; the run ended before 6 images"));
  EXPECT_THAT(err(), HasSubstr("lost the connection to cytopressd at 127.0.0.1:8500: Socket"));
  EXPECT_THAT(err(), Not(HasSubstr("TLS")));
  EXPECT_EQ(Run({"--json", "classify", folder_}), 4);
  EXPECT_EQ(OutJson()["answered"], 64);
  EXPECT_EQ(OutJson()["failed"], 0);
  EXPECT_EQ(OutJson()["not_classified"], 6);
  EXPECT_EQ(OutJson()["images"].size(), 64u);
}

TEST_F(CliClassifyTest, GoesOnWhenTheServiceIsBack) {
  AddFilesOfTwoRequests();
  std::atomic<int> refused = 0;
  service_.inference.answer = [&refused](const v1::ClassifyRequest& request,
                                         v1::ClassifyResponse* response) {
    if (request.images_size() < 64 && refused++ == 0) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    }
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", folder_}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("64.png  class 3"));
  EXPECT_THAT(out(), HasSubstr("70 images by blood@2"));
  EXPECT_EQ(service_.inference.requests().size(), 3u);
}

TEST_F(CliClassifyTest, AnInterruptEndsTheWaitingForAService) {
  AddFilesOfTwoRequests();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    if (request.images_size() < 64) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    return AnswerByRule(request, response);
  };
  sleep_ = [](absl::Duration) { raise(SIGINT); };
  EXPECT_EQ(Run({"classify", folder_}), 130);
  EXPECT_THAT(out(), ContainsRegex("63.png +class 3"));
  EXPECT_THAT(out(), Not(HasSubstr("64.png")));
}

TEST_F(CliClassifyTest, PrintsWhatHasComeWhenItIsInterrupted) {
  AddFilesOfTwoRequests();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    raise(SIGINT);
    return AnswerByRule(request, response);
  };
  const std::string csv = folder_ + "/answers.csv";
  EXPECT_EQ(Run({"classify", folder_, "--csv", csv, folder_ + "/missing.png"}), 130);
  EXPECT_THAT(out(), ContainsRegex("63.png +class 3"));
  EXPECT_THAT(out(), HasSubstr("missing.png  error: there is no such file")) << "that was known";
  EXPECT_THAT(out(), Not(HasSubstr("64.png")));
  EXPECT_THAT(*ReadFile(csv, 1 << 20), Not(HasSubstr("64.png")));
  EXPECT_THAT(err(), HasSubstr("64 of 71 images are classified; the run ended before 6 images"));
  EXPECT_EQ(service_.inference.requests().size(), 1u);
}

TEST_F(CliClassifyTest, ReadsAnImageFromStandardInput) {
  AddFile("a.png", 3);
  {
    const StandardInput input(folder_ + "/a.png");
    EXPECT_EQ(Run({"--json", "classify", "-"}), 0) << err();
    EXPECT_EQ(OutJson()["images"][0]["file"], "-");
    EXPECT_EQ(OutJson()["images"][0]["classes"][0]["index"], 3);
  }
  const StandardInput input(folder_ + "/a.png");
  EXPECT_EQ(Run({"classify", "--truth", "folder", "-"}), 2);
  EXPECT_THAT(err(), HasSubstr("--truth folder: - is in no folder"));
}

TEST_F(CliClassifyTest, ASoleFileThatCannotBeReadIsWrongInput) {
  AddFile("large.png", 3);
  std::filesystem::resize_file(folder_ + "/large.png", (int64_t{64} << 20) + 1);
  EXPECT_EQ(Run({"classify", folder_ + "/large.png"}), 2);
  ASSERT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Run({"classify", folder_ + "/pipe"}), 2);
  EXPECT_THAT(err(), HasSubstr("- reads an image from standard input"));
}

TEST_F(CliClassifyTest, SaysThatTheModelMayHaveBeenLoaded) {
  AddFilesOfTwoRequests();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    const double waited = request.images_size() == 64 ? 2.0 : 0.001;
    response->mutable_timing()->set_queue_seconds(waited);
    return AnswerByRule(request, response);
  };
  EXPECT_EQ(Run({"classify", "--summary", folder_}), 0);
  EXPECT_THAT(out(), HasSubstr("waiting, a request: 1.0 s, the first 2.0 s (a model that is not in "
                               "memory is loaded first)"));
  EXPECT_EQ(Run({"classify", "--summary", folder_ + "/00.png"}), 0);
  EXPECT_THAT(out(), HasSubstr("waiting, a request: 1.00 ms\n"));
}

TEST(SpeedInWords, KeepsADigitOfLowSpeeds) {
  EXPECT_EQ(SpeedInWords(1, " by blood@2", absl::Seconds(2)),
            "1 image by blood@2 in 2.0 s (0.5 images/s)");
  EXPECT_EQ(SpeedInWords(3421, "", absl::Seconds(10)), "3421 images in 10.0 s (342 images/s)");
}

TEST_F(CliClassifyTest, WritesItsAnswersAsCsv) {
  AddFile("class_1/a.png", 1);
  AddFile("class_1/b, \"c\".png", 2);
  const std::string csv = folder_ + "/answers.csv";
  const std::string cells = folder_ + "/class_1";
  EXPECT_EQ(Run({"classify", "--top", "2", "--csv", csv, "--summary", cells, folder_ + "/no"}), 7);
  const std::string quoted = absl::StrCat("\"", cells, "/b, \"\"c\"\".png\"");
  EXPECT_EQ(*ReadFile(csv, 1 << 20),
            absl::StrCat("file,class,probability,error,notes\n",       //
                         cells, "/a.png,class 1,0.300000012,,\n",      //
                         cells, "/a.png,class 2,0.100000001,,\n",      //
                         quoted, ",class 2,0.300000012,,\n",           //
                         quoted, ",class 3,0.100000001,,\n", folder_,  //
                         "/no,,,there is no such file or folder,\n"));
  EXPECT_EQ(Run({"classify", "--csv", "-", "--truth", "folder", cells}), 0);
  EXPECT_EQ(out(), absl::StrCat("file,class,probability,truth,right,error,notes\n", cells,
                                "/a.png,class 1,0.300000012,class 1,true,,\n", quoted,
                                ",class 2,0.300000012,class 1,false,,\n"));
  EXPECT_THAT(err(), HasSubstr("2 images by blood@2"));
}

TEST_F(CliClassifyTest, ItsCsvIsThereBeforeItPrints) {
  AddFile("a.png", 3);
  // A reader that has gone away would end the program with the first character.
  struct Reader : std::streambuf {
    int overflow(int character) override {
      heard = true;
      csv_is_there = csv_is_there && std::filesystem::exists(csv);
      return traits_type::not_eof(character);
    }
    std::string csv;
    bool heard = false;
    bool csv_is_there = true;
  } reader;
  reader.csv = folder_ + "/answers.csv";
  std::ostream out(&reader);
  std::ostringstream err;
  Console console;
  console.out = &out;
  console.err = &err;
  const char* const arguments[] = {"cytopress", "classify", "--csv", reader.csv.c_str(),
                                   folder_.c_str()};
  EXPECT_EQ(RunCli(5, arguments, console,
                   [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Client>> {
                     return std::make_unique<Client>(service_.channel(), options);
                   }),
            0)
      << err.str();
  EXPECT_TRUE(reader.heard);
  EXPECT_TRUE(reader.csv_is_there);
}

TEST_F(CliClassifyTest, WantsAPlaceForItsCsvBeforeItStarts) {
  AddFile("a.png", 1);
  EXPECT_EQ(Run({"classify", "--csv", folder_ + "/missing/a.csv", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("missing/a.csv"));
  EXPECT_EQ(Run({"--json", "classify", "--csv", "-", folder_}), 2);
  EXPECT_THAT(err(), HasSubstr("--csv"));
  EXPECT_TRUE(service_.inference.requests().empty());
}

class CliClassifyNotesTest : public CliClassifyTest {
 protected:
  // Of this many pixels a side, in shades of one colour.
  void AddImage(const std::string& name, int side, int channels, uint8_t chroma = 0) {
    Image image{side, side, channels, {}};
    for (int i = 0; i < side * side; ++i) {
      const auto shade = static_cast<uint8_t>(100 + i % 50);
      image.pixels.push_back(static_cast<uint8_t>(shade + chroma));
      image.pixels.insert(image.pixels.end(), channels - 1, shade);
    }
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/" + name, *EncodePng(image)).ok());
  }
};

TEST_F(CliClassifyNotesTest, SaysWhatIsOddAboutTheFiles) {
  AddImage("large.png", 13, 3, 90);
  AddFile("photo.tif", 1);
  v1::Preprocessing* const preprocessing = service_.models.model.mutable_preprocessing();
  preprocessing->set_width(2);
  preprocessing->set_height(2);
  preprocessing->set_center_crop(4);
  EXPECT_EQ(Run({"classify", folder_}), 0);
  EXPECT_THAT(err(), HasSubstr("left out: 1 file (.tif) is not called"));
  EXPECT_THAT(err(), HasSubstr("the image is more than three times as wide as the 4x4"));
  EXPECT_THAT(err(), HasSubstr("scale such images first (" + folder_ + "/large.png)\n"));
  EXPECT_EQ(Run({"--json", "classify", folder_}), 0);
  EXPECT_EQ(err(), "");
  EXPECT_EQ(OutJson()["notes"].size(), 2u);
  EXPECT_EQ(OutJson()["images"][0]["notes"], Json::array({"large"}));
}

TEST_F(CliClassifyNotesTest, SaysThatGrayImagesAreNotWhatTheModelKnows) {
  AddImage("1.png", 8, 1);
  AddImage("2.png", 8, 3, 90);
  for (const char* name : {"3.png", "4.png", "5.png"}) AddImage(name, 8, 3);
  service_.models.model.mutable_preprocessing()->set_channels(3);
  EXPECT_EQ(Run({"classify", folder_}), 0);
  EXPECT_THAT(err(), HasSubstr("4 of 5 images are gray, and blood@2 takes colour"));
  EXPECT_THAT(err(), HasSubstr(absl::StrCat("(", folder_, "/1.png, ", folder_, "/3.png, ", folder_,
                                            "/4.png, ...)\n")));
  EXPECT_EQ(Run({"classify", "--csv", "-", folder_}), 0);
  EXPECT_THAT(out(), ContainsRegex("/1.png,class [0-7],0.300000012,,gray\n"));
  EXPECT_THAT(out(), ContainsRegex("/2.png,class [0-7],0.300000012,,\n"));
  EXPECT_THAT(out(), ContainsRegex("/5.png,class [0-7],0.300000012,,gray\n"));
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

}  // namespace
}  // namespace cytopress
