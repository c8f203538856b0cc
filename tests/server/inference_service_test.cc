#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/engine/engine.h"
#include "core/image/image.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/serving/fakes.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A picture that compresses well and is not the same everywhere.
Image Gradient(int width, int height) {
  Image image{width, height, 3, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(255 * x / width));
      image.pixels.push_back(static_cast<uint8_t>(255 * y / height));
      image.pixels.push_back(static_cast<uint8_t>(255 * (x + y) / (width + height)));
    }
  }
  return image;
}

std::string Jpeg(const Image& image) {
  jpeg_compress_struct compress;
  jpeg_error_mgr errors;
  compress.err = jpeg_std_error(&errors);
  jpeg_create_compress(&compress);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&compress, &bytes, &size);
  compress.image_width = image.width;
  compress.image_height = image.height;
  compress.input_components = 3;
  compress.in_color_space = JCS_RGB;
  jpeg_set_defaults(&compress);
  jpeg_start_compress(&compress, TRUE);
  while (compress.next_scanline < compress.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(
        &image.pixels[size_t{compress.next_scanline} * image.width * image.channels]);
    jpeg_write_scanlines(&compress, &row, 1);
  }
  jpeg_finish_compress(&compress);
  std::string out(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&compress);
  free(bytes);
  return out;
}

void AddRaw(const Image& image, v1::ClassifyRequest* request) {
  v1::RawImage* const raw = request->add_images()->mutable_raw();
  raw->set_width(image.width);
  raw->set_height(image.height);
  raw->set_channels(image.channels);
  raw->set_pixels(std::string(image.pixels.begin(), image.pixels.end()));
}

std::vector<float> Probabilities(const v1::Classification& result) {
  std::vector<float> probabilities(result.classes_size());
  for (const v1::ClassScore& score : result.classes()) {
    probabilities.at(score.index()) = score.probability();
  }
  return probabilities;
}

class InferenceServiceTest : public ServerTest {
 protected:
  void SetUp() override {
    Publish("cells");
    Start();
  }

  v1::ClassifyResponse MustClassify(const v1::ClassifyRequest& request) {
    v1::ClassifyResponse response;
    const grpc::Status status = inference_->Classify(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  grpc::Status Classify(const v1::ClassifyRequest& request) {
    v1::ClassifyResponse response;
    return inference_->Classify(Context().get(), request, &response);
  }
  static v1::ClassifyRequest Request() {
    v1::ClassifyRequest request;
    request.set_model("cells");
    request.set_top_k(-1);
    return request;
  }
  // What the engine says when asked directly.
  static std::vector<float> Expected(const Image& image) {
    const absl::StatusOr<Image> prepared = Preprocess(image, TestModel().preprocessing);
    EXPECT_TRUE(prepared.ok());
    const auto engine = CreateEngine(TestModel());
    EXPECT_TRUE(engine.ok()) << engine.status();
    std::vector<float> probabilities(8);
    EXPECT_TRUE((*engine)->Classify(prepared->pixels, 1, absl::MakeSpan(probabilities)).ok());
    return probabilities;
  }
};

TEST_F(InferenceServiceTest, RawPixelsOfTheInputsSize) {
  const Image image = Gradient(28, 28);
  v1::ClassifyRequest request = Request();
  AddRaw(image, &request);
  const v1::ClassifyResponse response = MustClassify(request);
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(Probabilities(response.results(0)), Expected(image));
  EXPECT_EQ(response.model(), "cells");
  EXPECT_EQ(response.model_version(), 1);
  EXPECT_GT(response.timing().compute_seconds(), 0);
  EXPECT_GE(response.timing().queue_seconds(), 0);
}

TEST_F(InferenceServiceTest, PngJpegAndRawPixelsOfAnySize) {
  const Image image = Gradient(360, 363);
  const absl::StatusOr<std::string> png = EncodePng(image);
  ASSERT_TRUE(png.ok());
  const std::string jpeg = Jpeg(image);
  const absl::StatusOr<Image> from_jpeg = DecodeImage(jpeg);
  ASSERT_TRUE(from_jpeg.ok()) << from_jpeg.status();
  v1::ClassifyRequest request = Request();
  request.add_images()->set_encoded(*png);
  request.add_images()->set_encoded(jpeg);
  AddRaw(image, &request);
  const v1::ClassifyResponse response = MustClassify(request);
  ASSERT_EQ(response.results_size(), 3);
  EXPECT_EQ(Probabilities(response.results(0)), Expected(image));
  EXPECT_EQ(Probabilities(response.results(1)), Expected(*from_jpeg));
  EXPECT_EQ(Probabilities(response.results(2)), Expected(image));
  EXPECT_GT(response.timing().decode_seconds(), 0);
}

TEST_F(InferenceServiceTest, ABatchSaysWhatSingleImagesSay) {
  v1::ClassifyRequest batch = Request();
  std::vector<v1::ClassifyResponse> singles;
  const std::vector<uint8_t> pixels = RandomPixels(TestNetwork(), 100);
  const size_t image_bytes = 28 * 28 * 3;
  for (int i = 0; i < 100; ++i) {
    const Image image{
        28, 28, 3, {&pixels[i * image_bytes], &pixels[i * image_bytes] + image_bytes}};
    AddRaw(image, &batch);
    if (i % 10 != 0) continue;
    v1::ClassifyRequest single = Request();
    AddRaw(image, &single);
    singles.push_back(MustClassify(single));
  }
  const v1::ClassifyResponse together = MustClassify(batch);
  ASSERT_EQ(together.results_size(), 100);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(together.results(10 * i).SerializeAsString(),
              singles[i].results(0).SerializeAsString());
  }
}

TEST_F(InferenceServiceTest, TopKSortsAndNames) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  const v1::ClassifyResponse all = MustClassify(request);
  ASSERT_EQ(all.results(0).classes_size(), 8);
  double sum = 0;
  for (int i = 0; i < 8; ++i) {
    const v1::ClassScore& score = all.results(0).classes(i);
    EXPECT_EQ(score.name(), absl::StrCat("class", score.index()));
    if (i > 0) {
      EXPECT_LE(score.probability(), all.results(0).classes(i - 1).probability());
    }
    sum += score.probability();
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  request.set_top_k(3);
  EXPECT_EQ(MustClassify(request).results(0).classes_size(), 3);
  request.set_top_k(0);
  EXPECT_EQ(MustClassify(request).results(0).classes_size(), 1);
  request.set_top_k(9);
  const grpc::Status status = Classify(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("top_k"));
}

TEST_F(InferenceServiceTest, TheNewestVersionIsServedAsSoonAsItIsLoaded) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  EXPECT_EQ(MustClassify(request).model_version(), 1);
  Publish("cells", 2);
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (MustClassify(request).model_version() == 1) ASSERT_LT(absl::Now(), give_up);
  EXPECT_EQ(MustClassify(request).model_version(), 2);
  request.set_model_version(1);
  EXPECT_EQ(MustClassify(request).model_version(), 1);
}

TEST_F(InferenceServiceTest, NoNameMeansTheOnlyModel) {
  v1::ClassifyRequest request = Request();
  request.clear_model();
  AddRaw(Gradient(28, 28), &request);
  EXPECT_EQ(MustClassify(request).model(), "cells");
  Publish("other");
  const grpc::Status status = Classify(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("model"));
  EXPECT_THAT(status.error_message(), HasSubstr("cells, other"));
}

TEST_F(InferenceServiceTest, UnknownModelsAreNotFound) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  request.set_model_version(7);
  EXPECT_EQ(DetailsOf(Classify(request)).info.reason(), "MODEL_NOT_FOUND");
  request.set_model("other");
  EXPECT_EQ(Classify(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(InferenceServiceTest, ADeletedModelIsNotServedAnyMore) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  MustClassify(request);
  v1::DeleteModelRequest remove;
  remove.set_name("cells");
  remove.set_version(1);
  v1::DeleteModelResponse removed;
  ASSERT_TRUE(models_->DeleteModel(Context().get(), remove, &removed).ok());
  EXPECT_EQ(Classify(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(InferenceServiceTest, NamesTheFieldThatIsWrong) {
  const auto field_of = [this](const v1::ClassifyRequest& request) {
    const grpc::Status status = Classify(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    const std::vector<std::string> fields = DetailsOf(status).fields();
    return fields.empty() ? "" : fields[0];
  };
  v1::ClassifyRequest good = Request();
  AddRaw(Gradient(28, 28), &good);

  v1::ClassifyRequest request = Request();
  EXPECT_EQ(field_of(request), "images");
  request.add_images();
  EXPECT_EQ(field_of(request), "images[0]");
  request.mutable_images(0)->set_encoded("");
  EXPECT_EQ(field_of(request), "images[0].encoded");
  request = good;
  request.add_images()->set_encoded("neither PNG nor JPEG");
  EXPECT_EQ(field_of(request), "images[1]");
  request = good;
  request.mutable_images(0)->mutable_raw()->set_channels(2);
  EXPECT_EQ(field_of(request), "images[0].raw.channels");
  request = good;
  request.mutable_images(0)->mutable_raw()->set_width(29);
  EXPECT_EQ(field_of(request), "images[0].raw.pixels");
  request = good;
  request.mutable_images(0)->mutable_raw()->set_width(1 << 30);
  request.mutable_images(0)->mutable_raw()->set_height(1 << 30);
  EXPECT_EQ(field_of(request), "images[0].raw");
  request = good;
  request.set_model("../etc");
  EXPECT_EQ(field_of(request), "model");
  request.set_model("cells@1");
  EXPECT_EQ(field_of(request), "model");
  EXPECT_THAT(Classify(request).error_message(), HasSubstr("model_version"));
  request = good;
  request.set_model_version(-1);
  EXPECT_EQ(field_of(request), "model_version");
  request = good;
  request.set_top_k(-2);
  EXPECT_EQ(field_of(request), "top_k");
  request = Request();
  for (int i = 0; i < 257; ++i) *request.add_images() = good.images(0);
  EXPECT_EQ(field_of(request), "images");
}

TEST_F(InferenceServiceTest, ABadImageAmongManyFailsTheRequestWithItsNumber) {
  v1::ClassifyRequest request = Request();
  for (int i = 0; i < 200; ++i) request.add_images()->set_encoded("no picture at all");
  const grpc::Status status = Classify(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(DetailsOf(status).fields().at(0), "images[0]");
  EXPECT_EQ(DetailsOf(status).fields().size(), 8u);
  EXPECT_THAT(status.error_message(), HasSubstr("; and 199 more images"));
}

// Many clients at once, more than one model and size of request. Also for the thread sanitizer.
TEST_F(InferenceServiceTest, ManyClientsAtOnce) {
  Publish("other");
  v1::ClassifyRequest one = Request();
  AddRaw(Gradient(28, 28), &one);
  v1::ClassifyRequest three = one;
  three.set_model("other");
  AddRaw(Gradient(28, 28), &three);
  AddRaw(Gradient(28, 28), &three);
  const std::string expected = MustClassify(one).results(0).SerializeAsString();
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 6; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        const v1::ClassifyRequest& request = (i + t) % 2 == 0 ? one : three;
        v1::ClassifyResponse response;
        const grpc::Status status = inference_->Classify(Context().get(), request, &response);
        bool right = status.ok() && response.results_size() == request.images_size() &&
                     response.model() == request.model();
        for (const v1::Classification& result : response.results()) {
          right = right && result.SerializeAsString() == expected;
        }
        if (!right) ++wrong;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
}

// An engine whose batches a puppet lets go.
class HeldEngine : public Engine {
 public:
  HeldEngine(Puppet* puppet, std::unique_ptr<Engine> engine)
      : puppet_(puppet), engine_(std::move(engine)) {}

  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    CYTOPRESS_RETURN_IF_ERROR(puppet_->Enter(count));
    return engine_->Classify(pixels, count, probabilities);
  }
  absl::StatusOr<std::unique_ptr<Engine>> Clone() override {
    return absl::UnimplementedError("a puppet's engine has no clone");
  }
  std::string name() const override { return engine_->name(); }
  int classes() const override { return engine_->classes(); }
  int64_t image_bytes() const override { return engine_->image_bytes(); }
  int preferred_batch() const override { return engine_->preferred_batch(); }

 private:
  Puppet* const puppet_;
  const std::unique_ptr<Engine> engine_;
};

class CancelledCallTest : public InferenceServiceTest {
 protected:
  // A call that is answered on a thread of gRPC.
  struct Call {
    std::unique_ptr<grpc::ClientContext> context = Context();
    v1::ClassifyResponse response;
    Promised<grpc::Status> status;
  };

  CancelledCallTest() : request_(Request()) { AddRaw(Gradient(28, 28), &request_); }
  // The puppet must outlive its engines.
  ~CancelledCallTest() override {
    puppet_.LetAllGo();
    daemon_.reset();
  }

  void Configure(DaemonOptions* options) override {
    options->make_engine =
        [this](const Artifact& artifact,
               const EngineOptions& engine_options) -> absl::StatusOr<std::unique_ptr<Engine>> {
      CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                                 CreateEngine(artifact, engine_options));
      return std::make_unique<HeldEngine>(&puppet_, std::move(engine));
    };
  }

  std::unique_ptr<Call> Begin() {
    auto call = std::make_unique<Call>();
    inference_->async()->Classify(
        call->context.get(), &request_, &call->response,
        [call = call.get()](grpc::Status status) { call->status.Set(std::move(status)); });
    return call;
  }

  // What the metrics tell may be a second old.
  bool AwaitQueueDepth(int images) const {
    return Eventually([&] {
      return MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                         "cytopress_classify_queue_depth") == images;
    });
  }

  // Cancels a call that waits for its turn. Of the images that are computed from the one before it
  // to the one after it; each call has one.
  int ImagesAroundACancelledCall() {
    EXPECT_TRUE(AwaitQueueDepth(0)) << "of the try before";
    puppet_.Hold();
    const size_t batches_before = puppet_.batches().size();
    const std::unique_ptr<Call> first = Begin();
    EXPECT_TRUE(puppet_.AwaitBatches(batches_before + 1));
    const std::unique_ptr<Call> cancelled = Begin();
    EXPECT_TRUE(AwaitQueueDepth(1));
    cancelled->context->TryCancel();
    EXPECT_EQ(cancelled->status.Get().error_code(), grpc::StatusCode::CANCELLED);
    // What comes by the same connection comes after the news of it.
    v1::ClassifyRequest unknown = request_;
    unknown.set_model("unknown");
    EXPECT_EQ(Classify(unknown).error_code(), grpc::StatusCode::NOT_FOUND);
    puppet_.LetAllGo();
    EXPECT_TRUE(first->status.Get().ok());
    MustClassify(request_);
    const std::vector<int> batches = puppet_.batches();
    return std::accumulate(batches.begin() + static_cast<int64_t>(batches_before), batches.end(),
                           0);
  }

  v1::ClassifyRequest request_;
  Puppet puppet_;
};

// Now and then the server's threads may be slow to hear of it.
TEST_F(CancelledCallTest, WhatIsCancelledBeforeItsTurnIsNotComputed) {
  MustClassify(request_);  // brings the model into memory
  EXPECT_TRUE(Eventually([this] { return ImagesAroundACancelledCall() == 2; }));
}

class FullQueueTest : public InferenceServiceTest {
 protected:
  void Configure(DaemonOptions* options) override {
    options->serving.admission.max_waiting_images = 1;
  }
};

TEST_F(FullQueueTest, AFullQueueSaysWhenToComeAgain) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  AddRaw(Gradient(28, 28), &request);
  const std::unique_ptr<grpc::ClientContext> context = Context();
  v1::ClassifyResponse response;
  const grpc::Status status = inference_->Classify(context.get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailsOf(status).info.reason(), "QUEUE_FULL");
  EXPECT_TRUE(DetailsOf(status).has_retry);
  const auto& trailers = context->GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, trailers.end());
  EXPECT_GT(std::stoi(std::string(pushback->second.data(), pushback->second.size())), 0);
  EXPECT_EQ(MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                        "cytopress_classify_refused_total{reason=\"queue_full\"}"),
            1);
}

class SmallMessagesTest : public InferenceServiceTest {
 protected:
  void Configure(DaemonOptions* options) override { options->grpc.max_message_bytes = 10000; }
};

TEST_F(SmallMessagesTest, AnOversizeMessageIsRefused) {
  v1::ClassifyRequest request = Request();
  AddRaw(Gradient(28, 28), &request);
  EXPECT_TRUE(Classify(request).ok());
  request.add_images()->set_encoded(std::string(20000, 'x'));
  EXPECT_EQ(Classify(request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace cytopress
