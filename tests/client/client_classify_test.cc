// Client::ClassifyAll
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "tests/client/fake_service.h"

namespace cytopress {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Pair;

const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "shutting down");
// As gRPC ends a stream itself.
const grpc::Status kTooLarge(grpc::StatusCode::RESOURCE_EXHAUSTED,
                             "Received message larger than max (9 vs. 8)");

// Image i is the text of i; the fake reads it and answers class i.
grpc::Status AnswerNumbers(const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
  response->set_model("blood");
  response->set_model_version(7);
  response->mutable_timing()->set_compute_seconds(0.5);
  for (const v1::ImageInput& image : request.images()) {
    response->add_results()->add_classes()->set_index(std::stoi(image.encoded()));
  }
  return grpc::Status::OK;
}

absl::Status ClassifyOne(Client& client) {
  return client
      .ClassifyAll(
          1,
          [](int64_t) {
            v1::ImageInput image;
            image.set_encoded("0");
            return image;
          },
          [](int64_t, const v1::Classification&) {})
      .status();
}

class ClassifyAllTest : public ::testing::Test {
 protected:
  ClassifyAllTest() { service_.inference.answer = AnswerNumbers; }

  absl::StatusOr<ClassifySummary> Run(int64_t count) { return RunOn(&client_, count); }

  absl::StatusOr<ClassifySummary> RunOn(Client* client, int64_t count) {
    answers_.assign(count, -1);
    return client->ClassifyAll(
        count,
        [this](int64_t i) -> absl::StatusOr<v1::ImageInput> {
          if (i == unreadable_) return absl::NotFoundError("no such file");
          v1::ImageInput image;
          image.set_encoded(absl::StrCat(i));
          if (i == large_) image.mutable_encoded()->append(100, ' ');
          return image;
        },
        [this](int64_t i, const v1::Classification& answer) {
          EXPECT_EQ(answers_[i], -1) << "image " << i << " is answered twice";
          answers_[i] = answer.classes(0).index();
        },
        options_);
  }

  std::vector<int> Sizes() {
    std::vector<int> sizes;
    for (const v1::ClassifyRequest& request : service_.inference.requests()) {
      sizes.push_back(request.images_size());
    }
    return sizes;
  }

  void ExpectAllAnswered() {
    std::vector<int> expected(answers_.size());
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(answers_, expected);
  }

  ClientOptions WithoutSleep() {
    ClientOptions options;
    options.sleep = [this](absl::Duration pause) { slept_ += pause; };
    return options;
  }

  FakeService service_;
  absl::Duration slept_;
  Client client_{service_.channel(), WithoutSleep()};
  ClassifyOptions options_;
  std::vector<int> answers_;
  int64_t unreadable_ = -1;
  int64_t large_ = -1;
};

TEST_F(ClassifyAllTest, AnswersEveryImageInItsPlace) {
  options_.batch_images = 3;
  const absl::StatusOr<ClassifySummary> summary = Run(10);
  ASSERT_TRUE(summary.ok()) << summary.status();
  ExpectAllAnswered();
  EXPECT_EQ(summary->images, 10);
  EXPECT_EQ(summary->requests, 4);
  EXPECT_EQ(summary->model, "blood");
  EXPECT_DOUBLE_EQ(summary->timing.compute_seconds(), 2.0);
}

TEST_F(ClassifyAllTest, TellsHowFarItIsAndWhatThereIsOfARunThatBreaksOff) {
  options_.batch_images = 2;
  options_.in_flight = 1;
  std::vector<int64_t> images;
  options_.on_progress = [&](const ClassifySummary& so_far) {
    EXPECT_EQ(so_far.version, 7);
    EXPECT_EQ(answers_[so_far.images - 1], so_far.images - 1) << "its results come first";
    images.push_back(so_far.images);
  };
  ASSERT_TRUE(Run(5).ok());
  EXPECT_THAT(images, ElementsAre(2, 4, 5));
  images.clear();
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    if (request.images(0).encoded() == "2") {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    }
    return AnswerNumbers(request, response);
  };
  EXPECT_EQ(Run(5).status(), absl::UnavailableError("gone"));
  EXPECT_THAT(images, ElementsAre(2));
}

TEST_F(ClassifyAllTest, StaysWithTheVersionOfTheFirstAnswer) {
  options_.batch_images = 1;
  ASSERT_TRUE(Run(5).ok());
  std::vector<int64_t> versions;
  for (const v1::ClassifyRequest& request : service_.inference.requests()) {
    versions.push_back(request.model_version());
  }
  EXPECT_THAT(versions, ElementsAre(0, 7, 7, 7, 7));
}

TEST_F(ClassifyAllTest, KeepsSeveralRequestsOnTheirWayAndNoMore) {
  options_.batch_images = 1;
  options_.version = 7;
  options_.in_flight = 3;
  service_.inference.answer = [this](const v1::ClassifyRequest& request,
                                     v1::ClassifyResponse* response) {
    service_.inference.AwaitActive(3);
    return AnswerNumbers(request, response);
  };
  ASSERT_TRUE(Run(12).ok());
  ExpectAllAnswered();
  EXPECT_EQ(service_.inference.most_active(), 3);
}

TEST_F(ClassifyAllTest, CutsRequestsByTheirBytesToo) {
  options_.batch_bytes = 40;
  options_.in_flight = 1;
  large_ = 3;
  ASSERT_TRUE(Run(6).ok());
  ExpectAllAnswered();
  EXPECT_THAT(Sizes(), ElementsAre(3, 1, 2));
}

TEST_F(ClassifyAllTest, SendsSmallerRequestsWhereTheServerRefusesLargeOnes) {
  options_.batch_images = 8;
  options_.version = 7;
  options_.in_flight = 3;
  std::atomic<int> refused = 0;
  service_.inference.stream_end = [&refused](const v1::ClassifyRequest* request) {
    if (request == nullptr || request->images_size() <= 2) return grpc::Status::OK;
    ++refused;
    return kTooLarge;
  };
  const absl::StatusOr<ClassifySummary> summary = Run(20);
  ASSERT_TRUE(summary.ok()) << summary.status();
  ExpectAllAnswered();
  EXPECT_EQ(summary->images, 20);
  EXPECT_EQ(refused, 2) << "from 8 images to 2";
  EXPECT_EQ(slept_, absl::ZeroDuration()) << "the server is there";
}

TEST_F(ClassifyAllTest, GoesOnWithoutAnImageThatIsTooLargeForARequest) {
  FakeService small(/*max_message_bytes=*/64);
  small.inference.answer = AnswerNumbers;
  Client client(small.channel(), WithoutSleep());
  std::map<int64_t, absl::Status> bad;
  options_.on_bad_image = [&bad](int64_t i, const absl::Status& why) { bad[i] = why; };
  options_.version = 7;
  large_ = 5;
  const absl::StatusOr<ClassifySummary> summary = RunOn(&client, 12);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_THAT(answers_, ElementsAre(0, 1, 2, 3, 4, -1, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(summary->images, 11);
  ASSERT_EQ(bad.size(), 1u);
  EXPECT_EQ(bad[5].code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(bad[5].message()),
              HasSubstr("larger than the server's --max-message-mib"));
  options_.on_bad_image = nullptr;
  options_.image_name = [](int64_t i) { return absl::StrCat("cell", i, ".png"); };
  const absl::Status end = RunOn(&client, 12).status();
  EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(end.message()), HasSubstr("cell5.png: the image is larger"));
}

TEST_F(ClassifyAllTest, EndsWhereTheServiceItselfRefusesTheStream) {
  google::rpc::ErrorInfo info;
  info.set_reason("TOO_MANY_STREAMS");
  const grpc::Status refusal =
      RichStatus(grpc::StatusCode::RESOURCE_EXHAUSTED, "64 streams are open", {&info});
  std::atomic<int> refused = 0;
  service_.inference.stream_end = [&](const v1::ClassifyRequest*) {
    ++refused;
    return refusal;
  };
  EXPECT_EQ(Run(2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused, 1);
}

TEST_F(ClassifyAllTest, NamesTheImageThatTheServerRefused) {
  options_.batch_images = 4;
  options_.image_name = [](int64_t i) { return absl::StrCat("cell", i, ".png"); };
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    if (request.images(0).encoded() != "4") return AnswerNumbers(request, response);
    return BadField("images[2].encoded", "is neither PNG nor JPEG");
  };
  EXPECT_EQ(Run(20).status(), absl::InvalidArgumentError("cell6.png: is neither PNG nor JPEG"));
}

TEST_F(ClassifyAllTest, EndsWithTheErrorOfTheStream) {
  service_.inference.stream_end = [](const v1::ClassifyRequest*) { return kGone; };
  EXPECT_EQ(Run(2).status(), absl::UnavailableError("shutting down"));
  EXPECT_EQ(slept_, absl::ZeroDuration()) << "it was never there";
  options_.batch_images = 1;
  const grpc::Status broken(grpc::StatusCode::INTERNAL, "broken");
  service_.inference.stream_end = [broken](const v1::ClassifyRequest* request) {
    return request != nullptr && request->images(0).encoded() == "1" ? broken : grpc::Status::OK;
  };
  EXPECT_EQ(Run(2).status(), absl::InternalError("broken"));
  EXPECT_EQ(slept_, absl::ZeroDuration()) << "the same would happen again";
}

TEST_F(ClassifyAllTest, GoesOnWhenTheServerIsBack) {
  options_.batch_images = 1;
  options_.version = 7;
  options_.in_flight = 3;
  std::atomic<int> gone = 0;  // while it is starting again, new streams find nothing
  service_.inference.stream_end = [&gone](const v1::ClassifyRequest* request) {
    if (request == nullptr) return grpc::Status::OK;
    const bool breaks = gone == 0 ? request->images(0).encoded() == "4" : gone < 3;
    if (breaks) ++gone;
    return breaks ? kGone : grpc::Status::OK;
  };
  std::vector<absl::Status> told;
  options_.on_disconnect = [&told](const absl::Status& why) {
    told.push_back(why);
    return true;
  };
  const absl::StatusOr<ClassifySummary> summary = Run(10);
  ASSERT_TRUE(summary.ok()) << summary.status();
  ExpectAllAnswered();
  EXPECT_EQ(summary->images, 10);
  EXPECT_EQ(summary->requests, 10);
  EXPECT_GE(told.size(), 3u);
  for (const absl::Status& why : told) EXPECT_EQ(why, absl::UnavailableError("shutting down"));
  EXPECT_EQ(slept_, absl::Milliseconds(250 + 500 + 1000));
}

TEST_F(ClassifyAllTest, SendsAgainWhatAServerThatStopsRefuses) {
  options_.batch_images = 2;
  std::atomic<int> refused = 0;
  service_.inference.answer = [&refused](const v1::ClassifyRequest& request,
                                         v1::ClassifyResponse* response) {
    if (request.images(0).encoded() == "2" && refused++ == 0) return kGone;
    return AnswerNumbers(request, response);
  };
  const absl::StatusOr<ClassifySummary> summary = Run(7);
  ASSERT_TRUE(summary.ok()) << summary.status();
  ExpectAllAnswered();
  EXPECT_EQ(summary->images, 7);
}

TEST_F(ClassifyAllTest, WaitsForAServerAsLongAsItIsTo) {
  options_.batch_images = 1;
  service_.inference.stream_end = [](const v1::ClassifyRequest* request) {
    return request == nullptr || request->images(0).encoded() == "0" ? grpc::Status::OK : kGone;
  };
  EXPECT_EQ(Run(2).status(), absl::UnavailableError("shutting down"));
  EXPECT_GE(slept_, ClientOptions().deadline);
  EXPECT_LT(slept_, ClientOptions().deadline + absl::Seconds(5));
  slept_ = absl::ZeroDuration();
  options_.on_disconnect = [this](const absl::Status&) { return slept_ < absl::Seconds(1); };
  EXPECT_EQ(Run(2).status(), absl::UnavailableError("shutting down"));
  EXPECT_EQ(slept_, absl::Seconds(1)) << "in the middle of a pause";
}

TEST_F(ClassifyAllTest, HasAllAnswersWhenTheServerGoesAwayAfterThem) {
  service_.inference.stream_end = [](const v1::ClassifyRequest* request) {
    return request == nullptr ? kGone : grpc::Status::OK;
  };
  const absl::StatusOr<ClassifySummary> summary = Run(2);
  ASSERT_TRUE(summary.ok()) << summary.status();
  ExpectAllAnswered();
}

TEST_F(ClassifyAllTest, DoesNotWaitForASilentServerForEver) {
  // Shared: the service may still wake from its wait when the test has ended.
  const auto end = std::make_shared<absl::Notification>();
  service_.inference.answer = [end](const v1::ClassifyRequest& request,
                                    v1::ClassifyResponse* response) {
    end->WaitForNotification();
    return AnswerNumbers(request, response);
  };
  ClientOptions options;
  options.deadline = absl::Milliseconds(100);
  Client impatient(service_.channel(), options);
  const absl::Status status = ClassifyOne(impatient);
  end->Notify();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClassifyAllTest, DoesNotWaitForAServerThatTakesNothingIn) {
  const auto end = std::make_shared<absl::Notification>();
  service_.inference.before_reading = [end] { end->WaitForNotification(); };
  ClientOptions options;
  options.deadline = absl::Milliseconds(200);
  Client impatient(service_.channel(), options);
  options_.version = 7;  // nothing to wait for between requests
  options_.in_flight = 64;
  options_.batch_images = 1;
  const absl::Time start = absl::Now();
  const absl::Status status = impatient
                                  .ClassifyAll(
                                      64,
                                      [](int64_t) {
                                        v1::ImageInput image;
                                        image.set_encoded(std::string(1 << 20, ' '));
                                        return image;
                                      },
                                      [](int64_t, const v1::Classification&) {}, options_)
                                  .status();
  end->Notify();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ClassifyAllTest, DoesNotWaitForAnEndOfTheStreamForEver) {
  const auto end = std::make_shared<absl::Notification>();
  service_.inference.before_stream_end = [end] { end->WaitForNotification(); };
  ClientOptions options;
  options.deadline = absl::Milliseconds(200);
  Client impatient(service_.channel(), options);
  const absl::Status status = ClassifyOne(impatient);
  end->Notify();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClassifyAllTest, DoesNotWaitForAConnectionForEver) {
  const SilentServer silent;
  ClientOptions options;
  options.target = silent.target();
  options.deadline = absl::Milliseconds(200);
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(ClassifyOne(**client).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClassifyAllTest, EndsWithTheErrorOfAnImageThatCannotBeLoaded) {
  unreadable_ = 5;
  options_.batch_images = 2;
  EXPECT_EQ(Run(8).status(), absl::NotFoundError("no such file"));
}

TEST_F(ClassifyAllTest, GoesOnWithoutBadImages) {
  std::map<int64_t, absl::Status> bad;
  options_.on_bad_image = [&bad](int64_t i, const absl::Status& why) { bad[i] = why; };
  options_.batch_images = 4;
  unreadable_ = 5;
  // Refuses 2 and 9 and, once these are gone, 3.
  service_.inference.answer = [](const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
    for (const char* refused : {"2", "9", "3"}) {
      for (int i = 0; i < request.images_size(); ++i) {
        if (request.images(i).encoded() == refused) {
          return BadField(absl::StrCat("images[", i, "].encoded"), "is no PNG");
        }
      }
    }
    return AnswerNumbers(request, response);
  };
  const absl::StatusOr<ClassifySummary> summary = Run(10);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_THAT(answers_, ElementsAre(0, 1, -1, -1, 4, -1, 6, 7, 8, -1));
  EXPECT_EQ(summary->images, 6);
  EXPECT_THAT(bad, ElementsAre(Pair(2, absl::InvalidArgumentError("is no PNG")),
                               Pair(3, absl::InvalidArgumentError("is no PNG")),
                               Pair(5, absl::NotFoundError("no such file")),
                               Pair(9, absl::InvalidArgumentError("is no PNG"))));
  unreadable_ = 0;
  EXPECT_EQ(Run(1)->requests, 0);
}

TEST_F(ClassifyAllTest, RefusesAnAnswerOfTheWrongLength) {
  service_.inference.answer = [](const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    return grpc::Status::OK;
  };
  EXPECT_EQ(Run(1).status().code(), absl::StatusCode::kInternal);
}

TEST_F(ClassifyAllTest, SendsNothingForNothing) {
  const absl::StatusOr<ClassifySummary> summary = Run(0);
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->requests, 0);
}

}  // namespace
}  // namespace cytopress
