// Many images in several requests at a time.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/classify_stream.h"
#include "client/client.h"
#include "client/reconnection.h"
#include "client/status.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

// One request on its way, and the numbers of its images.
struct Batch {
  v1::ClassifyRequest request;
  std::vector<int64_t> images;
};

// "images[3].encoded" is image 3 of the request; false for any other field.
bool ParseImageField(absl::string_view field, int64_t* index) {
  return absl::ConsumePrefix(&field, "images[") &&
         absl::SimpleAtoi(field.substr(0, field.find(']')), index);
}

// What an image adds to a request, with the least that its field and length take: never 0.
int64_t BytesOf(const v1::ImageInput& image) {
  return static_cast<int64_t>(image.ByteSizeLong()) + 2;
}

// Whether gRPC itself ended the stream, for a request over the server's limit: errors of the
// service have an ErrorInfo.
bool IsRequestTooLarge(const absl::Status& end) {
  return absl::IsResourceExhausted(end) && ErrorInfoOf(end).reason().empty();
}

// Why a request has no answer; OK where it has one.
absl::Status ErrorIn(const absl::StatusOr<v1::ClassifyStreamResponse>& answer) {
  if (!answer.ok()) return answer.status();
  return answer->has_error() ? ToAbslStatus(answer->error()) : absl::OkStatus();
}

// What the server says of single images of a request, by their place in it.
std::map<int64_t, std::string> ImageProblems(const google::rpc::Status& error, const Batch& batch) {
  std::map<int64_t, std::string> problems;
  const ErrorDetails details = ParseErrorDetails(error);
  for (const google::rpc::BadRequest::FieldViolation& problem :
       details.bad_request.field_violations()) {
    int64_t index = 0;
    if (!ParseImageField(problem.field(), &index) || index < 0 ||
        index >= static_cast<int64_t>(batch.images.size())) {
      continue;
    }
    std::string& text = problems[index];
    absl::StrAppend(&text, text.empty() ? "" : "; ", problem.description());
  }
  return problems;
}

class ClassifyRun {
 public:
  ClassifyRun(int64_t count, absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load,
              absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result,
              const ClassifyOptions& options, v1::InferenceService::StubInterface* stub,
              absl::Duration deadline, const std::function<void(absl::Duration)>& sleep)
      : count_(count),
        load_(load),
        on_result_(on_result),
        options_(options),
        stub_(stub),
        deadline_(deadline),
        reconnection_(deadline, sleep),
        batch_bytes_(options.batch_bytes) {
    summary_.model = options.model;
    summary_.version = options.version;
  }

  absl::StatusOr<ClassifySummary> Run() {
    std::optional<ClassifyStream> stream;
    while (MayHaveMore() || !running_.empty()) {
      while (MaySend()) {
        CYTOPRESS_RETURN_IF_ERROR(LoadImages());
        if (waiting_.empty()) break;
        if (!stream.has_value()) stream.emplace(stub_, deadline_);
        stream->Write(NextRequest());
      }
      if (running_.empty()) break;  // none of the rest could be loaded
      const absl::StatusOr<v1::ClassifyStreamResponse> answer = stream->Next();
      if (const absl::Status error = ErrorIn(answer); IsLost(error)) {
        stream.reset();
        CYTOPRESS_RETURN_IF_ERROR(AwaitServer(error));
        continue;
      }
      if (IsRequestTooLarge(answer.status())) {
        stream.reset();
        CYTOPRESS_RETURN_IF_ERROR(MakeRequestsSmaller(answer.status()));
        continue;
      }
      CYTOPRESS_RETURN_IF_ERROR(answer.status());
      CYTOPRESS_RETURN_IF_ERROR(Handle(*answer));
    }
    if (stream.has_value()) {
      // All answers are there: whoever goes away now takes nothing along.
      if (const absl::Status end = stream->Close(); !end.ok() && !IsLost(end)) return end;
    }
    summary_.elapsed = RealClock()->Steady() - start_;
    return std::move(summary_);
  }

 private:
  bool MayHaveMore() const { return !waiting_.empty() || held_back_.has_value() || next_ < count_; }

  // The first request goes alone while the version is open: its answer says which one it is.
  bool MaySend() const {
    if (!MayHaveMore()) return false;
    const bool pinned = summary_.version != 0;
    const int allowed = pinned ? std::max(options_.in_flight, 1) : 1;
    return static_cast<int>(running_.size()) < allowed;
  }

  // Puts what was on its way back to what waits.
  void PutBack() {
    for (auto batch = running_.rbegin(); batch != running_.rend(); ++batch) {
      waiting_.push_front(std::move(batch->second));
    }
    running_.clear();
  }

  // Puts back what was on its way, and waits for the server itself; `why` when there is nothing
  // more to be hoped for.
  absl::Status AwaitServer(const absl::Status& why) {
    PutBack();
    const auto goes_on = [&] { return !options_.on_disconnect || options_.on_disconnect(why); };
    return reconnection_.MayTry() && reconnection_.Pause(goes_on) ? absl::OkStatus() : why;
  }

  // Puts back what was on its way, in requests that are half as large as the one that was refused.
  // Which one that was the server does not say; but the largest on its way is no smaller, and thus
  // too large as well.
  absl::Status MakeRequestsSmaller(const absl::Status& refusal) {
    const auto smaller = [](const auto& a, const auto& b) {
      return a.second.request.ByteSizeLong() < b.second.request.ByteSizeLong();
    };
    const auto largest = std::max_element(running_.begin(), running_.end(), smaller);
    if (largest->second.images.size() > 1) {
      int64_t bytes = 0;
      for (const v1::ImageInput& image : largest->second.request.images()) bytes += BytesOf(image);
      batch_bytes_ = bytes / 2;
    } else {
      const int64_t image = largest->second.images[0];
      running_.erase(largest);
      CYTOPRESS_RETURN_IF_ERROR(RefuseLargeImage(image, refusal));
    }
    PutBack();
    CutWaiting();
    return absl::OkStatus();
  }

  absl::Status RefuseLargeImage(int64_t image, const absl::Status& refusal) const {
    const std::string why = absl::StrCat(
        "the image is larger than the server's --max-message-mib lets through (", refusal.message(),
        "); scale it down, or start cytopressd with a larger --max-message-mib");
    if (!options_.on_bad_image) {
      return absl::InvalidArgumentError(absl::StrCat(NameOf(image), ": ", why));
    }
    options_.on_bad_image(image, absl::InvalidArgumentError(why));
    return absl::OkStatus();
  }

  // Leaves no request of several images in `waiting_` with more than `batch_bytes_`.
  void CutWaiting() {
    for (Batch& batch : std::exchange(waiting_, {})) {
      int64_t bytes = 0;
      for (size_t i = 0; i < batch.images.size(); ++i) {
        v1::ImageInput& image = *batch.request.mutable_images(static_cast<int>(i));
        bytes += BytesOf(image);
        if (i == 0 || bytes > batch_bytes_) {
          waiting_.emplace_back();
          bytes = BytesOf(image);
        }
        *waiting_.back().request.add_images() = std::move(image);
        waiting_.back().images.push_back(batch.images[i]);
      }
    }
  }

  // Fills `waiting_`, unless there is something in it to be sent again.
  absl::Status LoadImages() {
    if (!waiting_.empty()) return absl::OkStatus();
    Batch batch;
    int64_t bytes = 0;
    while (batch.request.images_size() < std::max(options_.batch_images, 1)) {
      if (!held_back_.has_value()) {
        if (next_ >= count_) break;
        absl::StatusOr<v1::ImageInput> image = load_(next_++);
        if (!image.ok() && !options_.on_bad_image) return image.status();
        if (!image.ok()) {
          options_.on_bad_image(next_ - 1, image.status());
          continue;
        }
        held_back_ = *std::move(image);
      }
      bytes += BytesOf(*held_back_);
      if (batch.request.images_size() > 0 && bytes > batch_bytes_) break;
      *batch.request.add_images() = *std::move(held_back_);
      batch.images.push_back(next_ - 1);
      held_back_.reset();
    }
    if (!batch.images.empty()) waiting_.push_back(std::move(batch));
    return absl::OkStatus();
  }

  // The first of `waiting_` is on its way from here on.
  v1::ClassifyStreamRequest NextRequest() {
    Batch batch = std::move(waiting_.front());
    waiting_.pop_front();
    batch.request.set_model(summary_.model);
    batch.request.set_model_version(summary_.version);
    batch.request.set_top_k(options_.top_k);
    v1::ClassifyStreamRequest item;
    item.set_id(next_id_);
    // A copy: the images, or the good ones among them, may have to be sent again.
    *item.mutable_request() = batch.request;
    running_[next_id_++] = std::move(batch);
    return item;
  }

  absl::Status Handle(const v1::ClassifyStreamResponse& answer) {
    const auto found = running_.find(answer.id());
    if (found == running_.end()) {
      return absl::InternalError(
          absl::StrCat("the server answered request ", answer.id(), ", which is not open"));
    }
    Batch batch = std::move(found->second);
    running_.erase(found);
    if (answer.has_error()) return HandleError(answer.error(), std::move(batch));
    const v1::ClassifyResponse& response = answer.response();
    if (response.results_size() != static_cast<int>(batch.images.size())) {
      return absl::InternalError(absl::StrCat("the server answered ", response.results_size(),
                                              " results for ", batch.images.size(), " images"));
    }
    Count(response);
    for (int i = 0; i < response.results_size(); ++i) {
      on_result_(batch.images[i], response.results(i));
    }
    if (options_.on_progress) options_.on_progress(summary_);
    return absl::OkStatus();
  }

  // Bad images are told of by the names that the caller knows, not by their place in a request that
  // the caller never saw; the good ones among them go again.
  absl::Status HandleError(const google::rpc::Status& error, Batch batch) {
    const absl::Status status = ToAbslStatus(error);
    const std::map<int64_t, std::string> problems = ImageProblems(error, batch);
    if (problems.empty()) return status;
    if (!options_.on_bad_image) {
      std::string message;
      for (const auto& [index, problem] : problems) {
        absl::StrAppend(&message, message.empty() ? "" : "; ", NameOf(batch.images[index]), ": ",
                        problem);
      }
      return absl::Status(status.code(), message);
    }
    Batch rest;
    for (size_t i = 0; i < batch.images.size(); ++i) {
      const auto problem = problems.find(static_cast<int64_t>(i));
      if (problem != problems.end()) {
        options_.on_bad_image(batch.images[i], absl::Status(status.code(), problem->second));
        continue;
      }
      rest.images.push_back(batch.images[i]);
      *rest.request.add_images() = std::move(*batch.request.mutable_images(static_cast<int>(i)));
    }
    if (!rest.images.empty()) waiting_.push_back(std::move(rest));
    return absl::OkStatus();
  }

  std::string NameOf(int64_t image) const {
    return options_.image_name ? options_.image_name(image) : absl::StrCat("images[", image, "]");
  }

  void Count(const v1::ClassifyResponse& response) {
    reconnection_.Heard();
    summary_.model = response.model();
    summary_.version = response.model_version();
    summary_.images += response.results_size();
    ++summary_.requests;
    summary_.elapsed = RealClock()->Steady() - start_;
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
  const absl::Duration start_ = RealClock()->Steady();
  Reconnection reconnection_;
  int64_t batch_bytes_;                      // of a request; fewer once one was too large
  std::map<int64_t, Batch> running_;         // by the id of the request
  std::deque<Batch> waiting_;                // not yet sent, or to be sent again
  int64_t next_id_ = 0;                      // of a request
  int64_t next_ = 0;                         // first image not yet loaded
  std::optional<v1::ImageInput> held_back_;  // loaded, and too large for the request before
  ClassifySummary summary_;
};

}  // namespace

absl::StatusOr<ClassifySummary> Client::ClassifyAll(
    int64_t count, absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load,
    absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result,
    const ClassifyOptions& options) {
  return ClassifyRun(count, load, on_result, options, inference_.get(), deadline_, sleep_).Run();
}

}  // namespace cytopress
