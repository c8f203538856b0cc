#include "core/serving/classify_pipeline.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/status_macros.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// Images that a decoding thread takes of one request before it looks after others.
constexpr int kImagesPerTurn = 8;
// An answer has room for so many complaints about images.
constexpr int kMaxReportedImages = 8;

absl::StatusOr<Image> ToImage(const InputImage& input, const DecodeLimits& limits) {
  if (!input.raw) return DecodeImage(input.bytes, limits);
  return Image{input.width, input.height, input.channels,
               std::vector<uint8_t>(input.bytes.begin(), input.bytes.end())};
}

// Writes the network's input of `input` to `pixels`.
absl::Status PrepareImage(const InputImage& input, const Preprocessing& preprocessing,
                          const DecodeLimits& limits, uint8_t* pixels) {
  if (input.raw && input.width == preprocessing.width && input.height == preprocessing.height &&
      input.channels == preprocessing.channels) {
    std::copy(input.bytes.begin(), input.bytes.end(), pixels);
    return absl::OkStatus();
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const Image image, ToImage(input, limits));
  CYTOPRESS_ASSIGN_OR_RETURN(const Image prepared, Preprocess(image, preprocessing));
  std::copy(prepared.pixels.begin(), prepared.pixels.end(), pixels);
  return absl::OkStatus();
}

}  // namespace

struct ClassifyPipeline::Request {
  ClassifyTask task;
  std::unique_ptr<Admission::Ticket> ticket;
  absl::Duration admitted;  // steady time
  absl::Duration deadline;  // steady time
  ModelHandle model;
  BatchTask batch;

  absl::Duration decode_start;
  absl::Duration decode;
  std::atomic<int> next_image{0};
  std::atomic<int> images_left{0};  // to be decoded

  absl::Mutex mutex;
  std::map<int, absl::Status> bad_images ABSL_GUARDED_BY(mutex);
};

ClassifyPipeline::ClassifyPipeline(const ClassifyPipelineOptions& options, ModelLoader* loader,
                                   ServingObserver* observer, Clock* clock)
    : options_(options),
      loader_(loader),
      observer_(observer),
      clock_(clock),
      admission_(options.admission),
      models_(
          options.models, loader,
          [observer](const ModelVersion& model, int images) { observer->OnBatch(model, images); },
          clock),
      decoders_("decode", std::max(1, options.decode_threads)) {}

ClassifyPipeline::~ClassifyPipeline() { Drain(absl::InfiniteDuration()); }

void ClassifyPipeline::Submit(ClassifyTask task) {
  int64_t bytes = 0;
  for (const InputImage& image : task.images) bytes += static_cast<int64_t>(image.bytes.size());
  absl::StatusOr<std::unique_ptr<Admission::Ticket>> ticket =
      admission_.Admit(static_cast<int64_t>(task.images.size()), bytes);
  if (!ticket.ok()) {
    task.done(ticket.status());
    return;
  }
  auto request = std::make_shared<Request>();
  request->task = std::move(task);
  request->ticket = *std::move(ticket);
  request->admitted = clock_->Steady();
  request->deadline = request->admitted + (request->task.deadline - clock_->Now());
  decoders_.Schedule([this, request] { FindModel(request); });
}

void ClassifyPipeline::Preload(const ModelVersion& model,
                               std::function<void(const absl::Status&)> done) {
  decoders_.Schedule([this, model, done = std::move(done)] {
    const absl::StatusOr<ModelVersion> version = loader_->Resolve(model);
    if (!version.ok()) return done(version.status());
    const ModelHandle loaded = models_.Acquire(
        *version, [done](const absl::StatusOr<ModelHandle>& handle) { done(handle.status()); });
    if (loaded != nullptr) done(absl::OkStatus());
  });
}

bool ClassifyPipeline::Drain(absl::Duration timeout) {
  admission_.Close();
  return admission_.AwaitEmpty(timeout);
}

absl::Status ClassifyPipeline::WhyDrop(const Request& request) const {
  if (request.task.cancelled != nullptr && *request.task.cancelled) {
    return absl::CancelledError("the request was cancelled");
  }
  if (clock_->Steady() >= request.deadline) {
    return absl::DeadlineExceededError("the deadline passed before the images were decoded");
  }
  return absl::OkStatus();
}

void ClassifyPipeline::FindModel(const RequestPtr& request) {
  if (absl::Status drop = WhyDrop(*request); !drop.ok()) return Finish(request, std::move(drop));
  const absl::StatusOr<ModelVersion> version = loader_->Resolve(request->task.model);
  if (!version.ok()) return Finish(request, version.status());
  const auto on_loaded = [this, request](absl::StatusOr<ModelHandle> model) {
    decoders_.Schedule([this, request, model = std::move(model)] {
      if (!model.ok()) return Finish(request, model.status());
      Prepare(request, *model);
    });
  };
  ModelHandle model = models_.Acquire(*version, on_loaded);
  if (model != nullptr) Prepare(request, std::move(model));
}

void ClassifyPipeline::Prepare(const RequestPtr& request, ModelHandle model) {
  request->model = std::move(model);
  const BatchScheduler& scheduler = request->model->scheduler;
  const int images = static_cast<int>(request->task.images.size());
  if (request->task.top_k > scheduler.classes()) {
    return Finish(request,
                  InvalidField("top_k", absl::StrCat(request->task.top_k, " is more than the ",
                                                     scheduler.classes(), " classes of ",
                                                     ToString(request->model->version),
                                                     "; -1 asks for all of them")));
  }
  const int64_t bytes = images * scheduler.image_bytes();
  if (absl::Status status = request->ticket->Grow(bytes); !status.ok()) {
    return Finish(request, std::move(status));
  }
  request->batch.images = images;
  request->batch.pixels.resize(bytes);
  request->images_left = images;
  request->decode_start = clock_->Steady();
  const int helpers = std::min(decoders_.threads(), (images + kImagesPerTurn - 1) / kImagesPerTurn);
  for (int i = 1; i < helpers; ++i) {
    decoders_.Schedule([this, request] { DecodeSome(request); });
  }
  DecodeSome(request);
}

void ClassifyPipeline::DecodeSome(const RequestPtr& request) {
  const int images = request->batch.images;
  for (int turn = 0; turn < kImagesPerTurn; ++turn) {
    const int index = request->next_image.fetch_add(1);
    if (index >= images) return;
    DecodeOne(request, index);
    // Whoever decodes the last one, which need not be the one with the highest number, goes on.
    if (request->images_left.fetch_sub(1) == 1) return Enqueue(request);
  }
  decoders_.Schedule([this, request] { DecodeSome(request); });
}

void ClassifyPipeline::DecodeOne(const RequestPtr& request, int index) {
  absl::Status status = WhyDrop(*request);
  if (status.ok()) {
    const int64_t offset = index * request->model->scheduler.image_bytes();
    status = PrepareImage(request->task.images[index], request->model->preprocessing,
                          options_.decode, &request->batch.pixels[offset]);
  }
  if (status.ok()) return;
  absl::MutexLock lock(&request->mutex);
  request->bad_images.emplace(index, std::move(status));
}

namespace {

// One error of the errors of several images.
absl::Status Summarize(const std::map<int, absl::Status>& bad_images) {
  absl::Status summary;
  int reported = 0;
  for (const auto& [index, status] : bad_images) {
    if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) return status;
    const std::string field = absl::StrCat("images[", index, "]");
    if (summary.ok()) {
      summary = InvalidField(field, status.message());
    } else if (reported < kMaxReportedImages) {
      summary = WithFieldViolation(std::move(summary), field, status.message());
    }
    ++reported;
  }
  return summary;
}

}  // namespace

void ClassifyPipeline::Enqueue(const RequestPtr& request) {
  request->decode = clock_->Steady() - request->decode_start;
  absl::Status status;
  {
    absl::MutexLock lock(&request->mutex);
    status = Summarize(request->bad_images);
  }
  if (!status.ok()) return Finish(request, std::move(status));
  BatchTask& batch = request->batch;
  batch.deadline = request->deadline;
  batch.cancelled = request->task.cancelled;
  // The request is kept alive by the pointer that the queue holds, which is one to the request.
  Request* const plain = request.get();
  batch.on_left_queue = [plain](int images) { plain->ticket->LeaveQueue(images); };
  batch.done = [this, weak = std::weak_ptr<Request>(request)](const absl::Status& computed) {
    Finish(weak.lock(), computed);
  };
  request->model->scheduler.Enqueue(std::shared_ptr<BatchTask>(request, &batch));
}

void ClassifyPipeline::Finish(const RequestPtr& request, absl::Status status) {
  // The ticket goes last: once all are gone, nothing of the request is left.
  const std::unique_ptr<Admission::Ticket> ticket = std::move(request->ticket);
  const std::function<void(absl::StatusOr<ClassifyOutcome>)> done = std::move(request->task.done);
  if (!status.ok()) {
    request->model.reset();
    done(std::move(status));
    return;
  }
  ClassifyOutcome outcome;
  outcome.model = std::move(request->model);
  outcome.probabilities = std::move(request->batch.probabilities);
  outcome.timing.decode = request->decode;
  outcome.timing.compute = request->batch.compute;
  outcome.timing.queue =
      clock_->Steady() - request->admitted - outcome.timing.decode - outcome.timing.compute;
  observer_->OnClassified(outcome.model->version, request->batch.images, outcome.timing);
  done(std::move(outcome));
}

}  // namespace cytopress
