#include "core/dataset/folder.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/dataset/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Not;

namespace fs = std::filesystem;

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    fs::create_directories(root_);
    options_.folder_preprocessing.width = options_.folder_preprocessing.height = 4;
  }

  void Write(const std::string& name, const std::string& content) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }

  // An image of random pixels, so that no two of different seeds are equal.
  static Image Noise(uint64_t seed, int side) {
    Random random(seed);
    Image image{side, side, 3, {}};
    for (int i = 0; i < side * side * 3; ++i) {
      image.pixels.push_back(static_cast<uint8_t>(random.Below(256)));
    }
    return image;
  }

  void WritePng(const std::string& name, uint64_t seed, int side = 4) {
    Write(name, *EncodePng(Noise(seed, side)));
  }

  absl::StatusOr<Dataset> Load() { return LoadFolder(root_.string(), options_); }

  const TemporaryFolder temporary_;
  const fs::path root_ = temporary_.PathOf("cells");
  DatasetOptions options_;
};

auto IsBetween(int64_t low, int64_t high) { return AllOf(Ge(low), Le(high)); }

// The images of a split as strings.
std::multiset<std::string> Images(const Dataset& dataset, const Split& split) {
  std::multiset<std::string> images;
  for (int64_t i = 0; i < split.size(); ++i) {
    const auto begin = split.pixels.begin() + i * dataset.image_bytes();
    images.emplace(begin, begin + dataset.image_bytes());
  }
  return images;
}

TEST_F(FolderTest, ReadsGivenSplitsWithClassesSorted) {
  int seed = 0;
  for (const char* split : {"train", "val", "test"}) {
    for (const char* name : {"platelet", "basophil"}) {
      WritePng(absl::StrCat(split, "/", name, "/b.PNG"), ++seed);
      WritePng(absl::StrCat(split, "/", name, "/a.png"), ++seed);
    }
  }
  Write("train/basophil/notes.txt", "not an image");
  Write("train/basophil/.hidden.png", "not an image");
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->class_names, ElementsAre("basophil", "platelet"));
  EXPECT_THAT(dataset->train.labels, ElementsAre(0, 0, 1, 1));
  EXPECT_EQ(dataset->name, root_.filename().string());
  EXPECT_EQ(dataset->preprocessing.width, 4);
  // train/basophil/a.png comes first; of the right size, so untouched.
  const std::vector<uint8_t> first(dataset->train.pixels.begin(),
                                   dataset->train.pixels.begin() + 48);
  EXPECT_EQ(first, Noise(4, 4).pixels);
}

TEST_F(FolderTest, ScalesWhatHasAnotherSize) {
  for (int i = 0; i < 3; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), 10 + i, 16);
    WritePng(absl::StrCat("b/", i, ".png"), 20 + i, 9);
  }
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  std::multiset<std::string> expected;
  for (int i = 0; i < 3; ++i) {
    for (const Image& image : {Noise(10 + i, 16), Noise(20 + i, 9)}) {
      const Image small = ResizeBilinear(image, 4, 4);
      expected.emplace(small.pixels.begin(), small.pixels.end());
    }
  }
  std::multiset<std::string> found = Images(*dataset, dataset->train);
  found.merge(Images(*dataset, dataset->val));
  found.merge(Images(*dataset, dataset->test));
  EXPECT_EQ(found, expected);
}

TEST_F(FolderTest, PreparesImagesAsAModelDoes) {
  Preprocessing& wanted = options_.folder_preprocessing;
  wanted.center_crop = 9;
  wanted.channels = 1;
  wanted.jpeg_quality = 75;
  std::multiset<std::string> expected;
  int seed = 0;
  for (const char* split : {"train", "val", "test"}) {
    for (const char* name : {"a", "b"}) {
      WritePng(absl::StrCat(split, "/", name, "/x.png"), ++seed, 16);
      if (absl::string_view(split) != "test") continue;
      const Image image = *Preprocess(Noise(seed, 16), wanted);
      expected.emplace(image.pixels.begin(), image.pixels.end());
    }
  }
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->image_bytes(), 16);
  EXPECT_EQ(dataset->preprocessing.center_crop, 9);
  EXPECT_EQ(Images(*dataset, dataset->test), expected);
}

TEST_F(FolderTest, SplitsBySeedAboutAsWanted) {
  for (int i = 0; i < 400; ++i) {
    WritePng(absl::StrCat("many/", i, ".png"), 1000 + i);
    if (i < 100) WritePng(absl::StrCat("few/", i, ".png"), 2000 + i);
  }
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  // Within three standard deviations.
  EXPECT_THAT(ClassCounts(dataset->val, 2), ElementsAre(IsBetween(1, 19), IsBetween(22, 58)));
  EXPECT_THAT(ClassCounts(dataset->test, 2), ElementsAre(IsBetween(8, 32), IsBetween(56, 104)));
  EXPECT_EQ(dataset->train.size() + dataset->val.size() + dataset->test.size(), 500);
  const absl::StatusOr<Dataset> again = Load();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->train.pixels, dataset->train.pixels);
  EXPECT_EQ(again->test.pixels, dataset->test.pixels);
  options_.seed = 1;
  const absl::StatusOr<Dataset> other = Load();
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->test.pixels, dataset->test.pixels);
}

TEST_F(FolderTest, AnImageStaysInItsSplitWhenOthersComeAndGo) {
  for (int i = 0; i < 100; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), 1000 + i);
    WritePng(absl::StrCat("b/", i, ".png"), 2000 + i);
  }
  const absl::StatusOr<Dataset> before = Load();
  ASSERT_TRUE(before.ok()) << before.status();
  fs::remove(root_ / "a/0.png");
  fs::rename(root_ / "a/1.png", root_ / "a/z.png");
  for (int i = 0; i < 10; ++i) WritePng(absl::StrCat("a/0", i, ".png"), 3000 + i);
  const absl::StatusOr<Dataset> after = Load();
  ASSERT_TRUE(after.ok()) << after.status();
  const std::multiset<std::string> trained = Images(*before, before->train);
  for (const Split* split : {&after->val, &after->test}) {
    for (const std::string& image : Images(*after, *split)) EXPECT_EQ(trained.count(image), 0);
  }
  std::multiset<std::string> tested = Images(*before, before->test);
  for (const std::string& image : Images(*after, after->test)) tested.erase(image);
  EXPECT_LE(tested.size(), 1) << "only the removed image may be gone";
}

TEST_F(FolderTest, CopiesOfAnImageStayInOneSplit) {
  for (int i = 0; i < 60; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), 1000 + i / 3);  // three copies of each
    WritePng(absl::StrCat("b/", i, ".png"), 2000 + i);
  }
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const Split* const splits[] = {&dataset->train, &dataset->val, &dataset->test};
  std::map<std::string, std::set<int>> places;
  int64_t images = 0;
  for (int s = 0; s < 3; ++s) {
    images += splits[s]->size();
    for (const std::string& image : Images(*dataset, *splits[s])) places[image].insert(s);
  }
  EXPECT_EQ(images, 120);
  for (const auto& [image, in] : places) EXPECT_EQ(in.size(), 1u);
}

TEST_F(FolderTest, EverySplitHasAnImageOfAClassOfCopies) {
  for (int i = 0; i < 22; ++i) {
    WritePng(absl::StrCat("copies/", i, ".png"), i < 2 ? i : 2);  // one, one, and twenty
    WritePng(absl::StrCat("other/", i, ".png"), 100 + i);
  }
  for (options_.seed = 0; options_.seed < 20; ++options_.seed) {
    const absl::StatusOr<Dataset> dataset = Load();
    ASSERT_TRUE(dataset.ok()) << options_.seed << ": " << dataset.status();
    int64_t images = 0;
    for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
      const int64_t copies = ClassCounts(*split, 2)[0];
      EXPECT_GE(copies, 1) << options_.seed;
      images += copies;
    }
    EXPECT_EQ(images, 22);
  }
}

TEST_F(FolderTest, RefusesATestImageThatIsTrainedOn) {
  int seed = 0;
  for (const char* split : {"train", "val", "test"}) {
    WritePng(absl::StrCat(split, "/a/1.png"), ++seed);
    WritePng(absl::StrCat(split, "/b/1.png"), ++seed);
  }
  WritePng("test/a/copy.png", 1);
  EXPECT_THAT(
      Load().status().message(),
      AllOf(HasSubstr("test/a/copy.png"), HasSubstr("train/a/1.png"), HasSubstr("another split")));
}

TEST_F(FolderTest, RefusesOneImageInTwoClasses) {
  for (int i = 0; i < 4; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  WritePng("b/same.png", 2);
  EXPECT_THAT(Load().status().message(),
              AllOf(HasSubstr("b/same.png"), HasSubstr("a/2.png"), HasSubstr("another class")));
}

TEST_F(FolderTest, NamesTheFilesThatCannotBeDecoded) {
  for (int i = 0; i < 5; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  Write("b/2.png", "GIF89a");
  Write("b/3.png", "");
  const absl::Status status = Load().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("2 problems: (1) "), HasSubstr("b/2.png"),
                    HasSubstr("neither PNG nor JPEG"), HasSubstr("; (2) "), HasSubstr("b/3.png")));
  fs::create_directories(root_ / "empty");
  for (int i = 0; i < 19; ++i) Write(absl::StrCat("b/more-", i, ".png"), "GIF89a");
  EXPECT_THAT(Load().status().message(),
              AllOf(HasSubstr("22 problems, the first 20: (1) "), HasSubstr("/empty: "),
                    HasSubstr("; (20) "), Not(HasSubstr("; (21) "))));
}

TEST_F(FolderTest, NoImageIsMissingWithoutAWord) {
  for (int i = 0; i < 4; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  WritePng("b/.thumbnails/1.png", 20);
  WritePng("b/notes/.hidden/1.png", 21);
  Write("b/notes/staining.txt", "no image");
  EXPECT_EQ(Load().status(), absl::OkStatus());
  fs::create_symlink(root_ / "gone.png", root_ / "a/link.png");
  fs::create_directories(root_ / "a/folder.jpg");
  WritePng("b/march/slide 1/1.png", 22);
  EXPECT_THAT(
      Load().status().message(),
      AllOf(HasSubstr("3 problems"), HasSubstr("a/folder.jpg: a link to nothing, or not a file"),
            HasSubstr("a/link.png: a link to nothing, or not a file"),
            HasSubstr("b/march: images must lie directly in the class folder")));
}

TEST_F(FolderTest, NoImageLiesBesideTheClassFolders) {
  for (int i = 0; i < 4; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  Write("README.txt", "no image");
  WritePng(".preview.png", 20);
  EXPECT_EQ(Load().status(), absl::OkStatus());
  WritePng("lost.PNG", 21);
  EXPECT_THAT(Load().status().message(), HasSubstr("/lost.PNG: lies beside the class folders; "
                                                   "move it into one, or remove it"));
}

TEST_F(FolderTest, NoImageLiesBesideTheClassFoldersOfASplit) {
  int seed = 0;
  for (const char* split : {"train", "val", "test"}) {
    WritePng(absl::StrCat(split, "/a/1.png"), ++seed);
    WritePng(absl::StrCat(split, "/b/1.png"), ++seed);
  }
  WritePng("preview.png", ++seed);
  EXPECT_EQ(Load().status(), absl::OkStatus()) << "it is of no split";
  WritePng("val/lost.jpg", ++seed);
  EXPECT_THAT(Load().status().message(), HasSubstr("/val/lost.jpg: lies beside the class folders"));
}

TEST_F(FolderTest, NamesAllThatIsThereTwiceOrTooSmall) {
  for (int i = 0; i < 4; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  WritePng("b/same.png", 2);
  WritePng("b/same-too.png", 3);
  WritePng("c/1.png", 20);
  EXPECT_THAT(Load().status().message(),
              AllOf(HasSubstr("3 problems"), HasSubstr("b/same.png"), HasSubstr("b/same-too.png"),
                    HasSubstr("1 different images")));
}

TEST_F(FolderTest, SaysWhatAFolderLacks) {
  EXPECT_THAT(Load().status().message(), HasSubstr("no class folder"));
  WritePng("train/a/1.png", 1);
  EXPECT_THAT(Load().status().message(), HasSubstr("no folder val"));
  WritePng("val/a/1.png", 2);
  WritePng("test/b/1.png", 3);
  EXPECT_THAT(Load().status().message(), HasSubstr("('b') has no training image"));
  fs::create_directories(root_ / "test/c");
  EXPECT_THAT(Load().status().message(), AllOf(HasSubstr("test/c"), HasSubstr("no image")));
  fs::remove_all(root_ / "train");
  fs::remove_all(root_ / "test");
  fs::remove_all(root_ / "val");
  WritePng("a/1.png", 1);
  WritePng("a/2.png", 2);
  EXPECT_THAT(Load().status().message(), HasSubstr("2 different images"));
}

TEST_F(FolderTest, SplitsWithoutTrainAreNotTakenForClasses) {
  WritePng("test/a/1.png", 1);
  EXPECT_THAT(
      Load().status().message(),
      AllOf(HasSubstr("it has a folder test but no folder train"), HasSubstr("/cells/test")));
  WritePng("val/a/1.png", 2);
  EXPECT_THAT(Load().status().message(), HasSubstr("no folder train"));
  WritePng("a/1.png", 3);
  EXPECT_THAT(Load().status().message(), Not(HasSubstr("no folder train")));
}

TEST_F(FolderTest, RefusesANameThatAModelCouldNotHave) {
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"a/", "Erythrozyt\xfc/"}) {
      WritePng(absl::StrCat(name, i, ".png"), 10 * name[0] + i);
    }
  }
  EXPECT_THAT(std::string(Load().status().message()),
              HasSubstr("class_names[0]: \"Erythrozyt\\xfc\" is not UTF-8"));
}

TEST_F(FolderTest, ImagesOfASplitKeepTheOrderOfTheirFiles) {
  // By class, then by name: images of all splits in turn.
  std::map<std::string, std::vector<uint8_t>> pixels;
  std::map<std::string, std::vector<int>> labels;
  int seed = 0;
  for (int label = 0; label < 3; ++label) {
    for (const char* split : {"train", "val", "test"}) {
      for (int i = 0; i <= label; ++i) {
        WritePng(absl::StrCat(split, "/", label, "/", i, ".png"), ++seed);
        const Image image = Noise(seed, 4);
        pixels[split].insert(pixels[split].end(), image.pixels.begin(), image.pixels.end());
        labels[split].push_back(label);
      }
    }
  }
  const absl::StatusOr<Dataset> dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(dataset->splits()[i]->pixels, pixels[kSplitNames[i]]) << kSplitNames[i];
    EXPECT_EQ(dataset->splits()[i]->labels, labels[kSplitNames[i]]) << kSplitNames[i];
  }
}

TEST_F(FolderTest, BoundsMemoryAndSize) {
  for (int i = 0; i < 3; ++i) {
    WritePng(absl::StrCat("a/", i, ".png"), i);
    WritePng(absl::StrCat("b/", i, ".png"), 10 + i);
  }
  options_.max_bytes = 6 * 48 - 1;
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kResourceExhausted);
  options_.max_bytes = 6 * 48;
  EXPECT_TRUE(Load().ok());
  options_.folder_preprocessing.height = 0;
  EXPECT_THAT(Load().status().message(), HasSubstr("to 4 x 0 pixels"));
}

}  // namespace
}  // namespace cytopress
