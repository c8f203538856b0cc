#include "core/serving/classify_pipeline.h"

#include <algorithm>
#include <map>
#include <new>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/memory.h"
#include "core/base/status_macros.h"
#include "core/serving/error_details.h"
#include "core/serving/image_errors.h"

namespace cytopress {
namespace {

// Images that a decoding thread takes of one request before it looks after others.
constexpr int kImagesPerTurn = 8;
// A lone image in a file so small is decoded by the thread that brings it, if it is no larger than
// that either: waking another would take longer.
constexpr int64_t kQuickBytes = 16 << 10;
constexpr int64_t kQuickPixels = 128 * 128;
// Requests that held so much together leave memory behind that is worth returning, once hardly any
// has been held for a while.
constexpr int64_t kMuchMemory = int64_t{16} << 20;
// A request whose model was deleted between the look at the registry and the load looks again.
constexpr int kMaxLooks = 3;

struct RequestSize {
  int64_t bytes = 0;
  int64_t encoded_bytes = 0;  // of them, those of PNG and JPEG files
};

RequestSize SizeOf(const std::vector<InputImage>& images) {
  RequestSize size;
  for (const InputImage& image : images) {
    size.bytes += static_cast<int64_t>(image.bytes.size());
    if (!image.raw) size.encoded_bytes += static_cast<int64_t>(image.bytes.size());
  }
  return size;
}

// As far as is known before it is decoded.
bool IsQuick(const std::vector<InputImage>& images) {
  return images.size() == 1 && static_cast<int64_t>(images.front().bytes.size()) <= kQuickBytes;
}

// Room for what goes into the network and for what comes out.
absl::Status MakeRoom(int64_t input_bytes, int64_t outputs, BatchTask* batch) try {
  batch->pixels.resize(input_bytes);
  batch->probabilities.resize(outputs);
  return absl::OkStatus();
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory for the network's inputs");
}

// What an engine, a decoder or a loader had no memory for. Admission says why it refuses itself.
bool LacksMemory(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && ErrorInfoOf(status).reason().empty();
}

}  // namespace

struct ClassifyPipeline::Request {
  Request(ClassifyTask what, const RequestSize& size, absl::Duration now, absl::Duration budget)
      : task(std::move(what)), admitted(now), deadline(now + budget) {
    // Bulk work lets others go first in the batches, though not in decoding.
    if (!task.bulk) load.images = static_cast<int64_t>(task.images.size());
    load.encoded_bytes = size.encoded_bytes;
  }

  ClassifyTask task;
  std::unique_ptr<Admission::Ticket> ticket;
  absl::Duration admitted;  // steady time
  absl::Duration deadline;  // steady time
  AnswerTime::Load load;
  int looks = 0;  // at the registry
  bool quick = false;
  absl::Duration predicted;  // zero: nothing was
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
      recent_(options.versions_fresh_for, loader, clock),
      models_(options.models, loader,
              {[observer](const ModelVersion& model, int images, absl::Duration cpu) {
                 observer->OnBatch(model, images, cpu);
               },
               [observer](const ModelVersion& model) { observer->OnUnloaded(model); },
               [this] { ReturnMemoryOfRequests(); }},
              clock),
      answer_time_(std::max(1, options.decode_threads)),
      decoders_("decode", std::max(1, options.decode_threads)),
      lookups_("lookup", 1) {}

ClassifyPipeline::~ClassifyPipeline() {
  while (!Drain(absl::Hours(1))) continue;  // a timeout has to be finite
}

void ClassifyPipeline::Submit(ClassifyTask task) {
  const absl::Duration now = clock_->Steady();
  const absl::Duration budget = task.deadline - clock_->Now();
  const RequestSize size = SizeOf(task.images);
  const auto images = static_cast<int64_t>(task.images.size());
  if (task.bulk) {
    const auto request = std::make_shared<Request>(std::move(task), size, now, budget);
    admission_.AdmitInTurn(
        images, size.bytes,
        [this, request](absl::StatusOr<std::unique_ptr<Admission::Ticket>> ticket) {
          if (!ticket.ok()) return request->task.done(ticket.status());
          Start(request, *std::move(ticket));
        });
    return;
  }
  const ModelHandle model = models_.Find(recent_.WithName(task.model));
  AdmissionRequest to_admit;
  to_admit.images = images;
  to_admit.bytes = size.bytes;
  to_admit.budget = budget;
  to_admit.predicted = answer_time_.Predict(model, images, size.encoded_bytes);
  absl::StatusOr<std::unique_ptr<Admission::Ticket>> ticket = admission_.Admit(to_admit);
  if (!ticket.ok()) {
    // As in Finish: what could never be let in is no overload.
    if (!absl::IsInvalidArgument(ticket.status())) {
      observer_->OnRefused(ErrorInfoOf(ticket.status()).reason());
    }
    task.done(ticket.status());
    return;
  }
  const auto request = std::make_shared<Request>(std::move(task), size, now, budget);
  // The end of what had expired before says nothing of the prediction.
  if (budget > absl::ZeroDuration()) request->predicted = to_admit.predicted;
  request->quick = model != nullptr && IsQuick(request->task.images);
  Start(request, *std::move(ticket));
}

void ClassifyPipeline::Start(const RequestPtr& request, std::unique_ptr<Admission::Ticket> ticket) {
  request->ticket = std::move(ticket);
  answer_time_.SetUndecoded(&request->load, true);
  const std::optional<ModelVersion> version = recent_.Find(request->task.model);
  if (version.has_value()) return ContinueWith(request, *version);
  ScheduleLookUp(request);
}

void ClassifyPipeline::ScheduleLookUp(const RequestPtr& request) {
  // Who waits for the registry is in nobody's way.
  if (absl::Status full = Park(request, "the list of models"); !full.ok()) {
    recent_.Forgo(request->task.model);
    return Finish(request, std::move(full));
  }
  lookups_.Schedule([this, request] { LookUp(request); });
}

void ClassifyPipeline::LookUp(const RequestPtr& request) {
  // First of all, whatever has become of the request: others rely on it (RecentVersions::Find).
  absl::StatusOr<ModelVersion> version = recent_.Look(request->task.model);
  Unpark(request);
  ++request->looks;
  if (absl::IsUnavailable(version.status())) {
    // What is in memory answers on without its file.
    const ModelHandle loaded = models_.Find(recent_.WithName(request->task.model));
    if (loaded != nullptr) version = loaded->version;
  }
  if (!version.ok()) return Finish(request, version.status());
  ContinueWith(request, *version);
}

void ClassifyPipeline::ContinueWith(const RequestPtr& request, const ModelVersion& version) {
  if (request->quick) return FindModel(request, version);
  decoders_.Schedule([this, request, version] { FindModel(request, version); });
}

absl::Duration ClassifyPipeline::PredictedTime(const ModelVersion& model, int64_t images,
                                               int64_t encoded_bytes) const {
  return answer_time_.Predict(models_.Find(recent_.WithName(model)), images, encoded_bytes);
}

void ClassifyPipeline::Preload(const ModelVersion& model,
                               std::function<void(const absl::Status&)> done) {
  lookups_.Schedule([this, model, done = std::move(done)] {
    const absl::StatusOr<ModelVersion> version = loader_->Resolve(model);
    if (!version.ok()) return done(version.status());
    const auto on_loaded = [done](const absl::StatusOr<ModelHandle>& handle) {
      done(handle.status());
    };
    const ModelHandle loaded = model.version == 0 ? models_.AwaitNewest(*version, on_loaded)
                                                  : models_.Acquire(*version, on_loaded);
    if (loaded != nullptr) done(absl::OkStatus());
  });
}

void ClassifyPipeline::OnDeleted(const ModelVersion& model) {
  const absl::StatusOr<ModelVersion> newest = loader_->Resolve({model.name, 0});
  const ModelHandle serving = models_.Find({model.name, 0});
  const bool must_stand_in = newest.ok() && serving != nullptr && serving->version == model;
  if (!must_stand_in) return models_.Unload(model);
  Preload({model.name, 0}, [this, model](const absl::Status&) { models_.Unload(model); });
}

void ClassifyPipeline::ReturnMemoryOfRequests() {
  const int64_t held = admission_.TakeMostBytes();
  unreturned_bytes_ = std::max(unreturned_bytes_, held);
  if (unreturned_bytes_ < kMuchMemory || held > unreturned_bytes_ / 8) return;
  unreturned_bytes_ = 0;
  ReturnFreedMemory();
}

bool ClassifyPipeline::Drain(absl::Duration timeout) {
  admission_.Close();
  return admission_.AwaitEmpty(timeout);
}

absl::Status ClassifyPipeline::WhyDrop(const Request& request) const {
  // Asked first: gRPC cancels what has expired.
  if (clock_->Steady() >= request.deadline) {
    return absl::DeadlineExceededError("the deadline passed before the images were decoded");
  }
  if (request.task.cancelled != nullptr && *request.task.cancelled) {
    return absl::CancelledError("the request was cancelled");
  }
  return absl::OkStatus();
}

void ClassifyPipeline::FindModel(const RequestPtr& request, const ModelVersion& version) {
  if (absl::Status drop = WhyDrop(*request); !drop.ok()) return Finish(request, std::move(drop));
  const ModelVersion& wanted = request->task.model;
  // Who waits for a model is in nobody's way, nor may it be here any more once it waits.
  const bool must_wait = models_.Find({version.name, wanted.version}) == nullptr;
  if (must_wait) {
    if (absl::Status full = Park(request, ToString(version)); !full.ok()) {
      return Finish(request, std::move(full));
    }
  }
  const auto on_loaded = [this, request](absl::StatusOr<ModelHandle> model) {
    Unpark(request);
    decoders_.Schedule([this, request, model = std::move(model)] {
      if (absl::Status drop = WhyDrop(*request); !drop.ok()) {
        return Finish(request, std::move(drop));
      }
      if (model.ok()) return Prepare(request, *model);
      const bool look_again = absl::IsNotFound(model.status()) &&
                              request->task.model.version == 0 && request->looks < kMaxLooks;
      if (!look_again) return Finish(request, model.status());
      ScheduleLookUp(request);
    });
  };
  const WaitLimits limits = {request->deadline, request->task.cancelled};
  ModelHandle model = wanted.version == 0 ? models_.AcquireNewest(version, on_loaded, limits)
                                          : models_.Acquire(version, on_loaded, limits);
  if (model == nullptr) return;
  if (must_wait) Unpark(request);
  Prepare(request, std::move(model));
}

absl::Status ClassifyPipeline::Park(const RequestPtr& request, const std::string& what) {
  absl::Status full = request->ticket->Park(what);
  if (!full.ok()) {
    // Perhaps of what nobody waits for any more.
    models_.DropWaiting();
    full = request->ticket->Park(what);
  }
  if (full.ok()) answer_time_.SetUndecoded(&request->load, false);
  return full;
}

void ClassifyPipeline::Unpark(const RequestPtr& request) {
  answer_time_.SetUndecoded(&request->load, true);
  request->ticket->Unpark();
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
  const int64_t outputs = int64_t{images} * scheduler.classes();
  absl::Status status =
      request->ticket->Grow(bytes + outputs * static_cast<int64_t>(sizeof(float)));
  if (status.ok()) status = MakeRoom(bytes, outputs, &request->batch);
  if (!status.ok()) return Finish(request, std::move(status));
  request->batch.images = images;
  request->images_left = images;
  request->decode_start = clock_->Steady();
  if (request->quick) return DecodeQuickly(request);
  const int helpers = std::min(decoders_.threads(), (images + kImagesPerTurn - 1) / kImagesPerTurn);
  for (int i = 1; i < helpers; ++i) {
    decoders_.Schedule([this, request] { DecodeSome(request); });
  }
  DecodeSome(request);
}

void ClassifyPipeline::DecodeQuickly(const RequestPtr& request) {
  const DecodeLimits limits = {std::min(kQuickPixels, options_.decode.max_pixels)};
  absl::Status status = Decode(*request, 0, limits);
  // A small file may hold a large image.
  if (absl::IsOutOfRange(status)) {
    return decoders_.Schedule([this, request] { DecodeSome(request); });
  }
  NoteIfBad(*request, 0, std::move(status));
  Enqueue(request);
}

void ClassifyPipeline::DecodeSome(const RequestPtr& request) {
  const int images = request->batch.images;
  for (int turn = 0; turn < kImagesPerTurn; ++turn) {
    const int index = request->next_image.fetch_add(1);
    if (index >= images) return;
    NoteIfBad(*request, index, Decode(*request, index, options_.decode));
    // Whoever decodes the last one, which need not be the one with the highest number, goes on.
    if (request->images_left.fetch_sub(1) == 1) return Enqueue(request);
  }
  decoders_.Schedule([this, request] { DecodeSome(request); });
}

absl::Status ClassifyPipeline::Decode(Request& request, int index, const DecodeLimits& limits) {
  CYTOPRESS_RETURN_IF_ERROR(WhyDrop(request));
  const InputImage& image = request.task.images[index];
  const int64_t offset = index * request.model->scheduler.image_bytes();
  const absl::Duration start = clock_->Steady();
  CYTOPRESS_RETURN_IF_ERROR(
      PrepareImage(image, request.model->preprocessing, limits, &request.batch.pixels[offset]));
  if (!image.raw) {
    answer_time_.NoteDecoded(static_cast<int64_t>(image.bytes.size()), clock_->Steady() - start);
  }
  return absl::OkStatus();
}

void ClassifyPipeline::NoteIfBad(Request& request, int index, absl::Status status) {
  if (status.ok()) return;
  absl::MutexLock lock(&request.mutex);
  request.bad_images.emplace(index, std::move(status));
}

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
  batch.bulk = request->task.bulk;
  // The request is kept alive by the pointer that the queue holds, which is one to the request.
  Request* const plain = request.get();
  batch.on_left_queue = [plain](int images) { plain->ticket->LeaveQueue(images); };
  batch.done = [this, weak = std::weak_ptr<Request>(request)](const absl::Status& computed) {
    Finish(weak.lock(), computed);
  };
  answer_time_.SetUndecoded(&plain->load, false);
  request->model->scheduler.Enqueue(std::shared_ptr<BatchTask>(request, &batch));
}

void ClassifyPipeline::Finish(const RequestPtr& request, absl::Status status) {
  answer_time_.SetUndecoded(&request->load, false);
  // Its client has given up, which metrics must not take for a success.
  if (status.ok() && clock_->Steady() > request->deadline) {
    status = absl::DeadlineExceededError("the deadline passed while the images were computed");
  }
  answer_time_.JudgePrediction(request->predicted, clock_->Steady() - request->admitted, status);
  if (LacksMemory(status)) status = OutOfMemory(status.message());
  if (absl::IsResourceExhausted(status)) observer_->OnRefused(ErrorInfoOf(status).reason());
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
  observer_->OnClassified(outcome.model->version, request->batch.images, request->task.bulk,
                          outcome.timing);
  done(std::move(outcome));
}

}  // namespace cytopress
