#include "server/inference_service.h"

#include <algorithm>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"
#include "core/serving/error_details.h"
#include "server/status.h"

namespace cytopress {
namespace {

constexpr int kMaxImages = 256;
// Far more than a network takes; keeps the product of the sides in range.
constexpr int kMaxRawSide = 1 << 15;

absl::Status CheckRaw(const v1::RawImage& raw, const std::string& field) {
  if (raw.width() < 1 || raw.width() > kMaxRawSide || raw.height() < 1 ||
      raw.height() > kMaxRawSide) {
    return InvalidField(field + ".raw",
                        absl::StrCat(raw.width(), " x ", raw.height(),
                                     " pixels; each side must be 1 to ", kMaxRawSide));
  }
  if (raw.channels() != 1 && raw.channels() != 3) {
    return InvalidField(field + ".raw.channels",
                        absl::StrCat(raw.channels(), " is neither 1 (gray) nor 3 (RGB)"));
  }
  const int64_t bytes = int64_t{raw.width()} * raw.height() * raw.channels();
  if (static_cast<int64_t>(raw.pixels().size()) != bytes) {
    return InvalidField(
        field + ".raw.pixels",
        absl::StrCat(raw.pixels().size(), " bytes, but ", raw.width(), " x ", raw.height(), " x ",
                     raw.channels(), " uint8 values are ", bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckImage(const v1::ImageInput& image, const std::string& field) {
  switch (image.content_case()) {
    case v1::ImageInput::kRaw:
      return CheckRaw(image.raw(), field);
    case v1::ImageInput::kEncoded:
      if (!image.encoded().empty()) return absl::OkStatus();
      return InvalidField(field + ".encoded", "is empty; give the bytes of a PNG or JPEG file");
    default:
      return InvalidField(field, "has no content; give encoded or raw");
  }
}

InputImage ToInput(const v1::ImageInput& image) {
  InputImage input;
  input.raw = image.has_raw();
  if (!input.raw) {
    input.bytes = image.encoded();
    return input;
  }
  input.bytes = image.raw().pixels();
  input.width = image.raw().width();
  input.height = image.raw().height();
  input.channels = image.raw().channels();
  return input;
}

// Lives until gRPC is done with the call. Request, response and context outlive Finish.
class ClassifyReactor : public grpc::ServerUnaryReactor {
 public:
  ClassifyReactor(const v1::ClassifyRequest* request, v1::ClassifyResponse* response,
                  grpc::CallbackServerContext* context)
      : request_(request), response_(response), context_(context) {}

  void Start(ClassifyPipeline* pipeline) {
    if (absl::Status status = CheckClassifyRequest(*request_); !status.ok()) {
      return FinishWith(status, context_, this);
    }
    ClassifyTask task = ToClassifyTask(*request_);
    task.deadline = absl::FromChrono(context_->deadline());
    task.cancelled = cancelled_;
    task.done = [this](const absl::StatusOr<ClassifyOutcome>& outcome) {
      const absl::Status status = outcome.ok()
                                      ? FillClassifyResponse(*outcome, request_->top_k(), response_)
                                      : outcome.status();
      FinishWith(status, context_, this);
    };
    pipeline->Submit(std::move(task));
  }

  void OnCancel() override { *cancelled_ = true; }
  void OnDone() override { delete this; }
  // Neither waits for anything: gRPC need not wake another thread to run them. (Meant for reactors
  // of its own; should it go away, so can this.)
  bool InternalInlineable() override { return true; }

 private:
  const v1::ClassifyRequest* const request_;
  v1::ClassifyResponse* const response_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

absl::Status CheckClassifyRequest(const v1::ClassifyRequest& request) {
  if (const absl::Status name = CheckModelName(request.model());
      !request.model().empty() && !name.ok()) {
    const bool has_version = ParseModelVersion(request.model()).ok();
    return InvalidField("model", has_version ? absl::StrCat("\"", request.model(),
                                                            "\" holds a version, which belongs "
                                                            "into model_version")
                                             : std::string(name.message()));
  }
  if (request.model_version() < 0) {
    return InvalidField("model_version",
                        absl::StrCat(request.model_version(), " is negative; 0 is the newest"));
  }
  if (request.top_k() < -1) {
    return InvalidField("top_k", absl::StrCat(request.top_k(), " is less than -1 (all classes)"));
  }
  if (request.images_size() < 1 || request.images_size() > kMaxImages) {
    return InvalidField(
        "images", absl::StrCat("holds ", request.images_size(), " images; send 1 to ", kMaxImages));
  }
  for (int i = 0; i < request.images_size(); ++i) {
    CYTOPRESS_RETURN_IF_ERROR(CheckImage(request.images(i), absl::StrCat("images[", i, "]")));
  }
  return absl::OkStatus();
}

ClassifyTask ToClassifyTask(const v1::ClassifyRequest& request) {
  ClassifyTask task;
  task.model = {request.model(), request.model_version()};
  task.images.reserve(request.images_size());
  for (const v1::ImageInput& image : request.images()) task.images.push_back(ToInput(image));
  task.top_k = request.top_k();
  return task;
}

absl::Status FillClassifyResponse(const ClassifyOutcome& outcome, int top_k,
                                  v1::ClassifyResponse* response) try {
  const ServedModel& model = *outcome.model;
  const int classes = model.scheduler.classes();
  const int wanted = top_k < 0 ? classes : std::clamp(top_k, 1, classes);
  std::vector<int> order(classes);
  for (size_t first = 0; first < outcome.probabilities.size(); first += classes) {
    const float* const probabilities = &outcome.probabilities[first];
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + wanted, order.end(), [&](int a, int b) {
      return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
    });
    v1::Classification* const result = response->add_results();
    for (const int index : absl::MakeSpan(order).first(wanted)) {
      v1::ClassScore* const score = result->add_classes();
      score->set_index(index);
      score->set_name(model.class_names[index]);
      score->set_probability(probabilities[index]);
    }
  }
  response->set_model(model.version.name);
  response->set_model_version(model.version.version);
  v1::Timing* const timing = response->mutable_timing();
  timing->set_queue_seconds(absl::ToDoubleSeconds(outcome.timing.queue));
  timing->set_decode_seconds(absl::ToDoubleSeconds(outcome.timing.decode));
  timing->set_compute_seconds(absl::ToDoubleSeconds(outcome.timing.compute));
  return absl::OkStatus();
} catch (const std::bad_alloc&) {
  *response = v1::ClassifyResponse();  // Clear() would keep the memory
  return OutOfMemory("no memory for the answer");
}

grpc::ServerUnaryReactor* InferenceService::Classify(grpc::CallbackServerContext* context,
                                                     const v1::ClassifyRequest* request,
                                                     v1::ClassifyResponse* response) {
  auto* const reactor = new ClassifyReactor(request, response, context);
  reactor->Start(pipeline_);
  return reactor;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceService::ClassifyStream(
    grpc::CallbackServerContext* context) {
  return ClassifyStreamReactor::Start(pipeline_, &streams_, metrics_, context);
}

}  // namespace cytopress
