#include "server/classify_stream_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/serving/error_details.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "server/inference_service.h"
#include "server/status.h"

namespace cytopress {
namespace {

// Of a stream, read and not answered. More images than the batches of a few engines hold, so that
// they stay busy while answers and requests travel.
constexpr int64_t kMaxImages = 256;
constexpr int64_t kMaxBytes = int64_t{16} << 20;
constexpr size_t kMaxStreams = 64;
constexpr char kTooManyStreams[] = "TOO_MANY_STREAMS";
constexpr absl::Duration kRetryDelay = absl::Seconds(5);
constexpr char kGoOnElsewhere[] = "; go on with another";

}  // namespace

absl::Status ClassifyStreams::Add(ClassifyStreamReactor* stream) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return ShuttingDown(kGoOnElsewhere);
  if (streams_.size() >= kMaxStreams) {
    observer_->OnRefused(kTooManyStreams);
    return Busy(absl::StrCat(kMaxStreams,
                             " streams are open, which is the most; try again when one has ended, "
                             "or send more images through fewer"),
                kTooManyStreams, kRetryDelay);
  }
  streams_.insert(stream);
  return absl::OkStatus();
}

void ClassifyStreams::Remove(ClassifyStreamReactor* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void ClassifyStreams::Release(int64_t bytes) {
  const int64_t before = bytes_.fetch_sub(bytes);
  if (before < max_bytes_ || before - bytes >= max_bytes_) return;
  // Who has found no room before has done so under its own lock, which each waits for here.
  absl::MutexLock lock(&mutex_);
  for (ClassifyStreamReactor* stream : streams_) stream->GoOn();
}

void ClassifyStreams::Stop() {
  // Under the lock, so that none of them goes away meanwhile.
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (ClassifyStreamReactor* stream : streams_) stream->Stop();
}

ClassifyStreamReactor* ClassifyStreamReactor::Start(ClassifyPipeline* pipeline,
                                                    ClassifyStreams* streams,
                                                    RequestMetrics* metrics,
                                                    grpc::CallbackServerContext* context) {
  const std::shared_ptr<ClassifyStreamReactor> reactor(
      new ClassifyStreamReactor(pipeline, streams, metrics, context));
  reactor->self_ = reactor;
  const absl::Status added = streams->Add(reactor.get());
  absl::MutexLock lock(&reactor->mutex_);
  if (!added.ok()) reactor->end_ = added;
  reactor->Proceed();
  return reactor.get();
}

void ClassifyStreamReactor::Stop() {
  absl::MutexLock lock(&mutex_);
  if (!end_.has_value()) end_ = ShuttingDown(kGoOnElsewhere);
  Proceed();
}

void ClassifyStreamReactor::GoOn() {
  absl::MutexLock lock(&mutex_);
  Proceed();
}

void ClassifyStreamReactor::OnReadDone(bool ok) {
  ItemPtr item;
  bool readable = false;
  if (ok) {
    item = std::make_shared<Item>();
    readable =
        grpc::SerializationTraits<v1::ClassifyStreamRequest>::Deserialize(&read_, &item->request)
            .ok();
  }
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    // The end may have overtaken a message: the call is gone before anybody could answer it.
    if (finished_) item = nullptr;
    if (item != nullptr) {
      item->images = item->request.request().images_size();
      item->bytes = static_cast<int64_t>(item->request.ByteSizeLong());
      ++items_;
      images_ += item->images;
      bytes_ += item->bytes;
      streams_->Hold(item->bytes);
    } else if (!end_.has_value()) {
      end_ = absl::OkStatus();  // the client has sent everything
    }
    Proceed();
  }
  if (item != nullptr) Submit(item, readable);
}

void ClassifyStreamReactor::Submit(const ItemPtr& item, bool readable) {
  const v1::ClassifyRequest& request = item->request.request();
  item->response.set_id(item->request.id());
  if (!readable) return Answer(item, UnreadableMessage());
  if (absl::Status status = CheckClassifyRequest(request); !status.ok()) {
    return Answer(item, status);
  }
  ClassifyTask task = ToClassifyTask(request);
  task.bulk = true;
  task.deadline = absl::FromChrono(context_->deadline());
  task.cancelled = cancelled_;
  task.done = [self = self_, item](const absl::StatusOr<ClassifyOutcome>& outcome) {
    self->Answer(item, outcome.ok()
                           ? FillClassifyResponse(*outcome, item->request.request().top_k(),
                                                  item->response.mutable_response())
                           : outcome.status());
  };
  pipeline_->Submit(std::move(task));
}

void ClassifyStreamReactor::Answer(ItemPtr item, const absl::Status& status) {
  const absl::Status end = ExpiredIfLate(status, absl::FromChrono(context_->deadline()));
  if (!end.ok()) *item->response.mutable_error() = ToRpcStatus(end);
  metrics_->ObserveStreamMessage(item->response.error());
  absl::MutexLock lock(&mutex_);
  item->request.Clear();
  answered_.push_back(std::move(item));
  Proceed();
}

void ClassifyStreamReactor::OnWriteDone(bool ok) {
  int64_t bytes = 0;
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    written_.Clear();
    const ItemPtr item = std::move(answered_.front());
    answered_.pop_front();
    bytes = item->bytes;
    --items_;
    images_ -= item->images;
    bytes_ -= bytes;
    if (!ok) {
      *cancelled_ = true;
      end_ = ClientGone();
    }
    Proceed();
  }
  streams_->Release(bytes);
}

void ClassifyStreamReactor::OnCancel() {
  *cancelled_ = true;
  absl::MutexLock lock(&mutex_);
  end_ = ClientGone();
  Proceed();
}

void ClassifyStreamReactor::OnDone() {
  streams_->Remove(this);
  int64_t bytes = 0;
  {
    absl::MutexLock lock(&mutex_);
    bytes = bytes_;  // of answers that nobody has read
  }
  streams_->Release(bytes);
  // Perhaps the last reference: nothing may touch the reactor after this.
  const std::shared_ptr<ClassifyStreamReactor> self = std::move(self_);
}

bool ClassifyStreamReactor::MayRead() const {
  return !reading_ && !end_.has_value() &&
         (items_ == 0 || (images_ < kMaxImages && bytes_ < kMaxBytes && streams_->HasRoom()));
}

void ClassifyStreamReactor::Proceed() {
  if (finished_) return;
  if (!writing_ && !answered_.empty()) {
    if (*cancelled_) {
      // Nobody reads them.
      items_ -= static_cast<int64_t>(answered_.size());
      answered_.clear();
    } else {
      writing_ = true;
      bool is_own = false;
      // No answer is so large that this could fail.
      grpc::SerializationTraits<v1::ClassifyStreamResponse>::Serialize(answered_.front()->response,
                                                                       &written_, &is_own);
      StartWrite(&written_);
    }
  }
  if (MayRead()) {
    reading_ = true;
    StartRead(&read_);
  }
  if (end_.has_value() && items_ == 0) {
    finished_ = true;
    FinishWith(*end_, context_, this);
  }
}

}  // namespace cytopress
