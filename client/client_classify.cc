// Many images in several requests at a time.
#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"
#include "client/status.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr absl::Duration kLongestRetryPause = absl::Seconds(10);

// One request on its way.
struct Call {
  int64_t first = 0;  // index of its first image
  int attempts = 0;
  v1::ClassifyRequest request;
  v1::ClassifyResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientContext> context;
};

// Owns the calls. They finish on gRPC's threads and are handed back on the caller's.
class CallPool {
 public:
  CallPool(v1::InferenceService::StubInterface* stub, absl::Duration deadline)
      : stub_(stub), deadline_(deadline) {}

  // Nothing may outlive the caller's frame.
  ~CallPool() {
    for (const auto& [pointer, call] : running_) pointer->context->TryCancel();
    while (running() > 0) Next();
  }

  int running() const { return static_cast<int>(running_.size()); }

  void Send(std::unique_ptr<Call> call) {
    Call* pointer = call.get();
    pointer->context = std::make_unique<grpc::ClientContext>();
    pointer->context->set_deadline(std::chrono::system_clock::now() +
                                   absl::ToChronoMicroseconds(deadline_));
    pointer->response.Clear();
    ++pointer->attempts;
    running_[pointer] = std::move(call);
    stub_->async()->Classify(pointer->context.get(), &pointer->request, &pointer->response,
                             [this, pointer](grpc::Status status) {
                               pointer->status = std::move(status);
                               absl::MutexLock lock(&mutex_);
                               finished_.push_back(pointer);
                             });
  }

  // Waits for one to finish. REQUIRES: running() > 0.
  std::unique_ptr<Call> Next() {
    Call* pointer = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](std::deque<Call*>* finished) { return !finished->empty(); }, &finished_));
      pointer = finished_.front();
      finished_.pop_front();
    }
    const auto found = running_.find(pointer);
    std::unique_ptr<Call> call = std::move(found->second);
    running_.erase(found);
    return call;
  }

 private:
  v1::InferenceService::StubInterface* const stub_;
  const absl::Duration deadline_;
  std::map<Call*, std::unique_ptr<Call>> running_;  // caller's thread only
  absl::Mutex mutex_;
  std::deque<Call*> finished_ ABSL_GUARDED_BY(mutex_);
};

// "images[3].encoded" is image 3 of the request; false for any other field.
bool ParseImageField(absl::string_view field, int64_t* index) {
  return absl::ConsumePrefix(&field, "images[") &&
         absl::SimpleAtoi(field.substr(0, field.find(']')), index);
}

// Names the image that the caller knows, not its place in a request that the caller never saw.
absl::Status DescribeFailure(const Call& call, const ClassifyOptions& options) {
  const auto name_of = [&](int64_t index) {
    return options.image_name ? options.image_name(index) : absl::StrCat("images[", index, "]");
  };
  const absl::Status status = ToAbslStatus(call.status);
  std::string images;
  const ErrorDetails details = ParseErrorDetails(call.status);
  for (const google::rpc::BadRequest::FieldViolation& problem :
       details.bad_request.field_violations()) {
    int64_t index = 0;
    if (!ParseImageField(problem.field(), &index)) continue;
    absl::StrAppend(&images, images.empty() ? "" : "; ", name_of(call.first + index), ": ",
                    problem.description());
  }
  return images.empty() ? status : absl::Status(status.code(), images);
}

class ClassifyRun {
 public:
  ClassifyRun(int64_t count, absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load,
              absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result,
              const ClassifyOptions& options, v1::InferenceService::StubInterface* stub,
              absl::Duration deadline)
      : count_(count),
        load_(load),
        on_result_(on_result),
        options_(options),
        calls_(stub, deadline) {
    summary_.model = options.model;
    summary_.version = options.version;
  }

  absl::StatusOr<ClassifySummary> Run() {
    const absl::Duration start = RealClock()->Steady();
    while (next_ < count_ || held_back_.has_value() || calls_.running() > 0) {
      while (MaySend()) {
        absl::StatusOr<std::unique_ptr<Call>> call = BuildCall();
        if (!call.ok()) return call.status();
        calls_.Send(*std::move(call));
      }
      CYTOPRESS_RETURN_IF_ERROR(Handle(calls_.Next()));
    }
    summary_.elapsed = RealClock()->Steady() - start;
    return std::move(summary_);
  }

 private:
  // The first request goes alone while the version is open: its answer says which one it is.
  bool MaySend() const {
    if (next_ >= count_ && !held_back_.has_value()) return false;
    const bool pinned = summary_.version != 0;
    return calls_.running() < (pinned ? std::max(options_.in_flight, 1) : 1);
  }

  absl::StatusOr<std::unique_ptr<Call>> BuildCall() {
    auto call = std::make_unique<Call>();
    call->request.set_model(summary_.model);
    call->request.set_model_version(summary_.version);
    call->request.set_top_k(options_.top_k);
    call->first = held_back_.has_value() ? next_ - 1 : next_;
    int64_t bytes = 0;
    while (call->request.images_size() < std::max(options_.batch_images, 1)) {
      if (!held_back_.has_value()) {
        if (next_ >= count_) break;
        absl::StatusOr<v1::ImageInput> image = load_(next_);
        if (!image.ok()) return image.status();
        ++next_;
        held_back_ = *std::move(image);
      }
      bytes += held_back_->ByteSizeLong();
      if (call->request.images_size() > 0 && bytes > options_.batch_bytes) break;
      *call->request.add_images() = *std::move(held_back_);
      held_back_.reset();
    }
    return call;
  }

  absl::Status Handle(std::unique_ptr<Call> call) {
    if (!call->status.ok()) {
      const ErrorDetails details = ParseErrorDetails(call->status);
      if (!details.retry_delay.has_value() || call->attempts >= options_.max_attempts) {
        return DescribeFailure(*call, options_);
      }
      options_.sleep(std::min(*details.retry_delay, kLongestRetryPause));
      calls_.Send(std::move(call));
      return absl::OkStatus();
    }
    const v1::ClassifyResponse& response = call->response;
    if (response.results_size() != call->request.images_size()) {
      return absl::InternalError(absl::StrCat("the server answered ", response.results_size(),
                                              " results for ", call->request.images_size(),
                                              " images"));
    }
    Count(response);
    for (int i = 0; i < response.results_size(); ++i) {
      on_result_(call->first + i, response.results(i));
    }
    return absl::OkStatus();
  }

  void Count(const v1::ClassifyResponse& response) {
    summary_.model = response.model();
    summary_.version = response.model_version();
    summary_.images += response.results_size();
    ++summary_.requests;
    v1::Timing* sum = &summary_.timing;
    const v1::Timing& timing = response.timing();
    sum->set_queue_seconds(sum->queue_seconds() + timing.queue_seconds());
    sum->set_decode_seconds(sum->decode_seconds() + timing.decode_seconds());
    sum->set_compute_seconds(sum->compute_seconds() + timing.compute_seconds());
  }

  const int64_t count_;
  const absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load_;
  const absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result_;
  const ClassifyOptions& options_;
  CallPool calls_;
  int64_t next_ = 0;                         // first image not yet loaded
  std::optional<v1::ImageInput> held_back_;  // loaded, and too large for the request before
  ClassifySummary summary_;
};

}  // namespace

absl::StatusOr<ClassifySummary> Client::ClassifyAll(
    int64_t count, absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load,
    absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result,
    const ClassifyOptions& options) {
  return ClassifyRun(count, load, on_result, options, inference_.get(), deadline_).Run();
}

}  // namespace cytopress
