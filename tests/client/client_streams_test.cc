// Watching jobs and downloading models.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/client.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "tests/client/fake_service.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

v1::Job JobAt(v1::JobState state, double fraction) {
  v1::Job job;
  job.set_id("job-1");
  job.set_state(state);
  job.mutable_progress()->set_fraction(fraction);
  return job;
}

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "socket closed");

class WatchTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::Job> Watch() {
    WatchOptions options;
    options.reconnect_for = absl::Seconds(1);
    options.on_disconnect = [this](const absl::Status&) { ++disconnects_; };
    return client_.WatchJob(
        "job-1",
        [this](const v1::Job& job) {
          seen_.push_back(job.progress().fraction());
          return job.progress().fraction() < stop_at_;
        },
        options);
  }

  ClientOptions WithoutSleep() {
    ClientOptions options;
    options.sleep = [this](absl::Duration pause) { slept_ += pause; };
    return options;
  }

  FakeService service_;
  absl::Duration slept_;
  Client client_{service_.channel(), WithoutSleep()};
  std::vector<double> seen_;
  double stop_at_ = 2;
  int disconnects_ = 0;
};

TEST_F(WatchTest, SeesEveryChangeToTheEnd) {
  service_.jobs.scripts = {
      {{JobAt(v1::JOB_STATE_RUNNING, 0.5), JobAt(v1::JOB_STATE_SUCCEEDED, 1)}, grpc::Status::OK}};
  const absl::StatusOr<v1::Job> job = Watch();
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(seen_, ElementsAre(0.5, 1));
  EXPECT_EQ(disconnects_, 0);
}

TEST_F(WatchTest, ReconnectsWhenTheServerGoesAway) {
  service_.jobs.scripts = {
      {{JobAt(v1::JOB_STATE_RUNNING, 0.3)}, kGone},
      {{}, kGone},                                              // not yet back
      {{JobAt(v1::JOB_STATE_RUNNING, 0.4)}, grpc::Status::OK},  // ended before the job
      {{JobAt(v1::JOB_STATE_FAILED, 0.4)}, grpc::Status::OK}};
  const absl::StatusOr<v1::Job> job = Watch();
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(disconnects_, 3);
  EXPECT_GT(slept_, absl::ZeroDuration());
}

TEST_F(WatchTest, GivesUpAfterAWhile) {
  service_.jobs.scripts = {{{JobAt(v1::JOB_STATE_RUNNING, 0.3)}, kGone}};
  EXPECT_EQ(Watch().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_GE(slept_, absl::Seconds(1));
  EXPECT_LT(slept_, absl::Seconds(3));
}

TEST_F(WatchTest, DoesNotWaitForAServiceThatWasNeverThere) {
  EXPECT_EQ(Watch().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_.jobs.watches, 1);
}

TEST_F(WatchTest, DoesNotRetryOtherErrors) {
  service_.jobs.scripts = {
      {{JobAt(v1::JOB_STATE_RUNNING, 0.3)}, grpc::Status(grpc::StatusCode::NOT_FOUND, "no job")}};
  EXPECT_EQ(Watch().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(service_.jobs.watches, 1);
}

TEST_F(WatchTest, StopsWhenTheCallerHasSeenEnough) {
  stop_at_ = 0.3;
  service_.jobs.scripts = {
      {{JobAt(v1::JOB_STATE_RUNNING, 0.3), JobAt(v1::JOB_STATE_RUNNING, 0.4)}, kGone}};
  const absl::StatusOr<v1::Job> job = Watch();
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(seen_, ElementsAre(0.3));
}

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    EXPECT_TRUE(WriteFileAtomically(path_, "the file before").ok());
    service_.models.model.set_name("blood");
    service_.models.model.set_sha256(Sha256Hex("first second"));
    service_.models.chunks = {"first ", "second"};
  }

  int FilesInFolder() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder_),
                                          std::filesystem::directory_iterator()));
  }

  FakeService service_;
  Client client_{service_.channel()};
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  const std::string path_ = temporary_.PathOf("model.cyp");
};

TEST_F(DownloadTest, ReplacesTheFile) {
  const absl::StatusOr<DownloadedModel> file = client_.DownloadModel("blood", 0, path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->model.name(), "blood");
  EXPECT_EQ(file->file_bytes, 12);
  EXPECT_EQ(file->file_sha256, Sha256Hex("first second"));
  EXPECT_EQ(*ReadFile(path_, 1000), "first second");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, KeepsLinksAndWritesIntoPipes) {
  const std::string link = folder_ + "/link", pipe = folder_ + "/pipe";
  std::filesystem::create_symlink("model.cyp", link);
  ASSERT_TRUE(client_.DownloadModel("blood", 0, link).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(*ReadFile(path_, 1000), "first second");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_TRUE(client_.DownloadModel("blood", 0, pipe).ok());
  char got[16];
  EXPECT_EQ(read(reader, got, sizeof(got)), 12);
  close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_EQ(FilesInFolder(), 3);
}

TEST_F(DownloadTest, TellsHowFarItIs) {
  service_.models.model.mutable_size()->set_disk_bytes(12);
  service_.models.sha256 = Sha256Hex("first second");
  std::vector<std::pair<int64_t, int64_t>> told;
  const auto tell = [&told](int64_t bytes, int64_t total) { told.emplace_back(bytes, total); };
  ASSERT_TRUE(client_.DownloadModel("blood", 0, path_, v1::MODEL_FORMAT_CYTOPRESS, tell).ok());
  EXPECT_THAT(told, ElementsAre(Pair(0, 12), Pair(6, 12), Pair(12, 12)));
  told.clear();
  ASSERT_TRUE(client_.DownloadModel("blood", 0, path_, v1::MODEL_FORMAT_ONNX, tell).ok());
  EXPECT_THAT(told, ElementsAre(Pair(0, 0), Pair(6, 0), Pair(12, 0))) << "it is another file";
}

TEST_F(DownloadTest, WritesOnInAnOpenFile) {
  const int fd = open(path_.c_str(), O_WRONLY | O_APPEND);
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(client_.DownloadModel("blood", 0, absl::StrCat("/dev/fd/", fd)).ok());
  ASSERT_EQ(write(fd, " tail", 5), 5);
  close(fd);
  EXPECT_EQ(*ReadFile(path_, 1000), "the file beforefirst second tail");
}

TEST_F(DownloadTest, KeepsTheOldFileWhenBytesAreWrong) {
  service_.models.chunks = {"first ", "sec0nd"};
  const absl::Status status = client_.DownloadModel("blood", 0, path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Sha256Hex("first second")));
  EXPECT_EQ(*ReadFile(path_, 1000), "the file before");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, ChecksTheDigestOfAConvertedFile) {
  service_.models.model.set_sha256(Sha256Hex("the file before it was converted"));
  service_.models.sha256 = Sha256Hex("first second");
  EXPECT_TRUE(client_.DownloadModel("blood", 0, path_, v1::MODEL_FORMAT_ONNX).ok());
  EXPECT_EQ(service_.models.format, v1::MODEL_FORMAT_ONNX);
  EXPECT_EQ(*ReadFile(path_, 1000), "first second");
}

TEST_F(DownloadTest, RefusesWhatAServerWithoutFormatsSends) {
  const absl::Status status =
      client_.DownloadModel("blood", 0, path_, v1::MODEL_FORMAT_ONNX).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("upgrade cytopressd"));
  EXPECT_EQ(*ReadFile(path_, 1000), "the file before");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, KeepsTheOldFileWhenTheStreamBreaks) {
  service_.models.download_end = kGone;
  EXPECT_EQ(client_.DownloadModel("blood", 0, path_).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(*ReadFile(path_, 1000), "the file before");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, DoesNotWaitForASilentServerForEver) {
  // Shared: the service may still wake from its wait when the test has ended.
  const auto end = std::make_shared<absl::Notification>();
  service_.models.before_end = [end] { end->WaitForNotification(); };
  ClientOptions options;
  options.deadline = absl::Milliseconds(100);
  Client impatient(service_.channel(), options);
  const absl::Status status = impatient.DownloadModel("blood", 0, path_).status();
  end->Notify();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(*ReadFile(path_, 1000), "the file before");
  EXPECT_EQ(FilesInFolder(), 1);
}

TEST_F(DownloadTest, DoesNotWaitForAConnectionForEver) {
  const SilentServer silent;
  ClientOptions options;
  options.target = silent.target();
  options.deadline = absl::Milliseconds(200);
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->DownloadModel("blood", 0, path_).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(DownloadTest, KeepsThePermissionsOfTheFileThatItReplaces) {
  std::filesystem::permissions(path_, std::filesystem::perms::owner_read);
  ASSERT_TRUE(client_.DownloadModel("blood", 0, path_).ok());
  EXPECT_EQ(static_cast<int>(std::filesystem::status(path_).permissions()), 0400);
}

TEST_F(DownloadTest, ANewFileKeepsToTheUmask) {
  std::filesystem::remove(path_);
  const mode_t before = umask(0027);
  const absl::Status status = client_.DownloadModel("blood", 0, path_).status();
  umask(before);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(static_cast<int>(std::filesystem::status(path_).permissions()), 0640);
}

TEST_F(DownloadTest, NamesAFolderThatIsNotThere) {
  const absl::Status status =
      client_.DownloadModel("blood", 0, folder_ + "/missing/model.cyp").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("missing/model.cyp"));
}

class UploadTest : public ::testing::Test {
 protected:
  FakeService service_;
  Client client_{service_.channel()};
};

TEST_F(UploadTest, SendsTheFileInPieces) {
  std::string file(600000, 'x');
  file.back() = 'y';
  service_.models.model.set_version(3);
  std::vector<int64_t> sent;
  const absl::StatusOr<v1::Model> model =
      client_.UploadModel("blood", file, [&](int64_t bytes, int64_t total) {
        sent.push_back(bytes);
        EXPECT_EQ(total, 600000);
      });
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(sent, ElementsAre(262144, 524288, 600000));
  EXPECT_EQ(model->name(), "blood");
  EXPECT_EQ(model->version(), 3);
  EXPECT_EQ(service_.models.uploaded, file);
  EXPECT_EQ(service_.models.sha256, Sha256Hex(file));
  EXPECT_EQ(service_.models.uploads, 3);
}

TEST_F(UploadTest, TellsWhyItWasRefused) {
  service_.models.upload_end = BadField("data", "is no model's file");
  const absl::Status status = client_.UploadModel("blood", "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(service_.models.uploads, 1) << "the name";
}

}  // namespace
}  // namespace cytopress
