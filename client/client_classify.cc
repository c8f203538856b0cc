// Many images in several requests at a time.
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <thread>
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

// One request on its way: `images` images, the first of which is number `first`.
struct Batch {
  int64_t first = 0;
  int images = 0;
};

// One ClassifyStream call, written to by the caller's thread and read by one of its own.
class Stream {
 public:
  // `patience`: for the next answer.
  Stream(v1::InferenceService::StubInterface* stub, absl::Duration patience)
      : patience_(patience), stream_(stub->ClassifyStream(&context_)) {
    reader_ = std::thread([this] { Read(); });
  }

  ~Stream() {
    if (!reader_.joinable()) return;
    context_.TryCancel();
    reader_.join();
    stream_->Finish();
  }

  // May wait for the server to read on. What goes wrong, Next tells.
  void Write(const v1::ClassifyStreamRequest& request) { stream_->Write(request); }

  // Waits for an answer.
  absl::StatusOr<v1::ClassifyStreamResponse> Next() {
    {
      absl::MutexLock lock(&mutex_);
      const auto heard = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return ended_ || !answers_.empty();
      };
      if (!mutex_.AwaitWithTimeout(absl::Condition(&heard), patience_)) {
        return absl::DeadlineExceededError(
            absl::StrCat("no answer within ", absl::FormatDuration(patience_)));
      }
      if (!answers_.empty()) {
        v1::ClassifyStreamResponse answer = std::move(answers_.front());
        answers_.pop_front();
        return answer;
      }
    }
    const absl::Status end = Finish();
    return end.ok() ? absl::UnavailableError("the server ended the stream") : end;
  }

  // When all answers have come.
  absl::Status Close() {
    stream_->WritesDone();
    return Finish();
  }

 private:
  void Read() {
    v1::ClassifyStreamResponse answer;
    while (stream_->Read(&answer)) {
      absl::MutexLock lock(&mutex_);
      answers_.push_back(std::move(answer));
    }
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

  absl::Status Finish() {
    reader_.join();
    return ToAbslStatus(stream_->Finish());
  }

  const absl::Duration patience_;
  grpc::ClientContext context_;
  const std::unique_ptr<
      grpc::ClientReaderWriterInterface<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse>>
      stream_;
  absl::Mutex mutex_;
  std::deque<v1::ClassifyStreamResponse> answers_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread reader_;
};

// "images[3].encoded" is image 3 of the request; false for any other field.
bool ParseImageField(absl::string_view field, int64_t* index) {
  return absl::ConsumePrefix(&field, "images[") &&
         absl::SimpleAtoi(field.substr(0, field.find(']')), index);
}

// Names the image that the caller knows, not its place in a request that the caller never saw.
absl::Status DescribeFailure(const google::rpc::Status& error, const Batch& batch,
                             const ClassifyOptions& options) {
  const auto name_of = [&](int64_t index) {
    return options.image_name ? options.image_name(index) : absl::StrCat("images[", index, "]");
  };
  const absl::Status status = ToAbslStatus(error);
  std::string images;
  const ErrorDetails details = ParseErrorDetails(error);
  for (const google::rpc::BadRequest::FieldViolation& problem :
       details.bad_request.field_violations()) {
    int64_t index = 0;
    if (!ParseImageField(problem.field(), &index)) continue;
    absl::StrAppend(&images, images.empty() ? "" : "; ", name_of(batch.first + index), ": ",
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
        stub_(stub),
        deadline_(deadline) {
    summary_.model = options.model;
    summary_.version = options.version;
  }

  absl::StatusOr<ClassifySummary> Run() {
    const absl::Duration start = RealClock()->Steady();
    std::optional<Stream> stream;
    while (next_ < count_ || held_back_.has_value() || !running_.empty()) {
      if (!stream.has_value()) stream.emplace(stub_, deadline_);
      while (MaySend()) {
        absl::StatusOr<v1::ClassifyStreamRequest> request = BuildRequest();
        if (!request.ok()) return request.status();
        stream->Write(*request);
      }
      absl::StatusOr<v1::ClassifyStreamResponse> answer = stream->Next();
      if (!answer.ok()) return answer.status();
      CYTOPRESS_RETURN_IF_ERROR(Handle(*answer));
    }
    if (stream.has_value()) CYTOPRESS_RETURN_IF_ERROR(stream->Close());
    summary_.elapsed = RealClock()->Steady() - start;
    return std::move(summary_);
  }

 private:
  // The first request goes alone while the version is open: its answer says which one it is.
  bool MaySend() const {
    if (next_ >= count_ && !held_back_.has_value()) return false;
    const bool pinned = summary_.version != 0;
    const int allowed = pinned ? std::max(options_.in_flight, 1) : 1;
    return static_cast<int>(running_.size()) < allowed;
  }

  absl::StatusOr<v1::ClassifyStreamRequest> BuildRequest() {
    Batch batch;
    batch.first = held_back_.has_value() ? next_ - 1 : next_;
    v1::ClassifyStreamRequest item;
    item.set_id(batch.first);
    v1::ClassifyRequest& request = *item.mutable_request();
    request.set_model(summary_.model);
    request.set_model_version(summary_.version);
    request.set_top_k(options_.top_k);
    int64_t bytes = 0;
    while (request.images_size() < std::max(options_.batch_images, 1)) {
      if (!held_back_.has_value()) {
        if (next_ >= count_) break;
        absl::StatusOr<v1::ImageInput> image = load_(next_);
        if (!image.ok()) return image.status();
        ++next_;
        held_back_ = *std::move(image);
      }
      bytes += held_back_->ByteSizeLong();
      if (request.images_size() > 0 && bytes > options_.batch_bytes) break;
      *request.add_images() = *std::move(held_back_);
      held_back_.reset();
    }
    batch.images = request.images_size();
    running_[batch.first] = batch;
    return item;
  }

  absl::Status Handle(const v1::ClassifyStreamResponse& answer) {
    const auto found = running_.find(answer.id());
    if (found == running_.end()) {
      return absl::InternalError(
          absl::StrCat("the server answered request ", answer.id(), ", which is not open"));
    }
    const Batch batch = found->second;
    running_.erase(found);
    if (answer.has_error()) return DescribeFailure(answer.error(), batch, options_);
    const v1::ClassifyResponse& response = answer.response();
    if (response.results_size() != batch.images) {
      return absl::InternalError(absl::StrCat("the server answered ", response.results_size(),
                                              " results for ", batch.images, " images"));
    }
    Count(response);
    for (int i = 0; i < response.results_size(); ++i) {
      on_result_(batch.first + i, response.results(i));
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
  v1::InferenceService::StubInterface* const stub_;
  const absl::Duration deadline_;
  std::map<int64_t, Batch> running_;         // by the number of the first image
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
