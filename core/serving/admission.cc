#include "core/serving/admission.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "absl/random/distributions.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// About what a full queue takes to empty, where nothing is known of its speed.
constexpr absl::Duration kUnknownRetryDelay = absl::Milliseconds(200);
constexpr absl::Duration kShortestRetryDelay = absl::Milliseconds(1);
constexpr absl::Duration kLongestRetryDelay = absl::Seconds(30);
// Those who are refused at the same time shall not come again at the same time.
constexpr double kMaxJitter = 0.3;

absl::Status TooLarge(int64_t bytes, int64_t limit) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        "images: the request and its network inputs take ", bytes,
                        " bytes, more than the server's ", limit, "; send fewer images at once")),
                    "REQUEST_TOO_LARGE");
}

}  // namespace

Admission::~Admission() {
  absl::MutexLock lock(&mutex_);
  assert(tickets_ == 0);
}

absl::Status Admission::Full(const std::string& why, absl::Duration retry_after) {
  const absl::Duration delay = std::clamp(retry_after, kShortestRetryDelay, kLongestRetryDelay) *
                               (1 + absl::Uniform(random_, 0.0, kMaxJitter));
  return WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat(why, "; try again later")),
                        delay);
}

absl::Status Admission::Refusal(const AdmissionRequest& request) {
  if (closed_) return ShuttingDown();
  if (request.bytes > options_.max_bytes) return TooLarge(request.bytes, options_.max_bytes);
  // What has expired already is told so elsewhere.
  if (request.budget > absl::ZeroDuration() && request.predicted > request.budget) {
    return WithReason(
        Full(absl::StrCat(
                 "the answer would take about ", absl::ToInt64Milliseconds(request.predicted),
                 " ms and the deadline is in ", absl::ToInt64Milliseconds(request.budget), " ms"),
             request.predicted - request.budget),
        "DEADLINE_UNREACHABLE");
  }
  const absl::Duration some_have_gone =
      request.predicted > absl::ZeroDuration() ? request.predicted / 2 : kUnknownRetryDelay;
  if (waiting_images_ + request.images > options_.max_waiting_images) {
    return WithReason(
        Full(absl::StrCat("the queue is full: ", waiting_images_, " images wait, ", request.images,
                          " more would exceed ", options_.max_waiting_images),
             some_have_gone),
        "QUEUE_FULL");
  }
  if (bytes_ + request.bytes > options_.max_bytes) {
    return WithReason(Full(absl::StrCat("the queue is full: its requests hold ", bytes_, " bytes, ",
                                        request.bytes, " more would exceed ", options_.max_bytes),
                           some_have_gone),
                      "QUEUE_FULL");
  }
  return absl::OkStatus();
}

std::unique_ptr<Admission::Ticket> Admission::MakeTicket(int64_t images, int64_t bytes, bool bulk) {
  ++tickets_;
  CountWaiting(images, bulk);
  CountBytes(bytes);
  return std::unique_ptr<Ticket>(new Ticket(this, images, bytes, bulk));
}

absl::StatusOr<std::unique_ptr<Admission::Ticket>> Admission::Admit(
    const AdmissionRequest& request) {
  absl::MutexLock lock(&mutex_);
  if (absl::Status refusal = Refusal(request); !refusal.ok()) return refusal;
  return MakeTicket(request.images, request.bytes, /*bulk=*/false);
}

void Admission::AdmitInTurn(int64_t images, int64_t bytes, OnAdmitted admitted) {
  Calls calls;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) {
      calls.push_back([&admitted] { admitted(ShuttingDown()); });
    } else if (const int64_t limit = options_.max_bytes / 2; bytes > limit) {
      calls.push_back([&admitted, bytes, limit] { admitted(TooLarge(bytes, limit)); });
    } else {
      line_.push_back({images, bytes, std::move(admitted)});
      calls = TakeTurns();
    }
  }
  for (const std::function<void()>& call : calls) call();
}

Admission::Calls Admission::TakeTurns() {
  Calls calls;
  while (!line_.empty()) {
    BulkWaiter& next = line_.front();
    // More images than may wait come in alone.
    const bool room = (waiting_bulk_images_ == 0 || waiting_bulk_images_ + next.images <=
                                                        options_.max_waiting_images_for_bulk) &&
                      bytes_ + next.bytes <= options_.max_bytes / 2;
    if (!room) break;
    Ticket* const ticket = MakeTicket(next.images, next.bytes, /*bulk=*/true).release();
    calls.push_back([admitted = std::move(next.admitted), ticket] {
      admitted(std::unique_ptr<Ticket>(ticket));
    });
    line_.pop_front();
  }
  return calls;
}

void Admission::CountWaiting(int64_t more, bool bulk) {
  waiting_images_ += more;
  if (bulk) waiting_bulk_images_ += more;
}

absl::Status Admission::CheckParking(const Ticket& ticket, const std::string& model) {
  // Half, so that others find room when they all come back.
  const int64_t most_images = options_.max_waiting_images / 2;
  const int64_t most_bytes = options_.max_bytes / 4;
  const auto parked = parked_images_.find(model);
  const int64_t images = parked == parked_images_.end() ? 0 : parked->second;
  const bool room = (images == 0 || images + ticket.waiting_images_ <= most_images) &&
                    (parked_bytes_ == 0 || parked_bytes_ + ticket.bytes_ <= most_bytes);
  if (room) return absl::OkStatus();
  const std::string why = absl::StrCat(
      "the queue is full: ", images, " images wait for ", model, " to be loaded, and ",
      parked_bytes_, " bytes for any model; ", ticket.waiting_images_, " images and ",
      ticket.bytes_, " bytes more would exceed ", most_images, " images or ", most_bytes, " bytes");
  return WithReason(Full(why, kUnknownRetryDelay), "QUEUE_FULL");
}

void Admission::CountParked(const Ticket& ticket, int sign) {
  const int64_t more = sign * ticket.waiting_images_;
  if (ticket.bulk_) {
    parked_bulk_images_ += more;
    return;
  }
  parked_bytes_ += sign * ticket.bytes_;
  int64_t& images = parked_images_[ticket.parked_for_];
  images += more;
  if (images == 0) parked_images_.erase(ticket.parked_for_);
}

void Admission::CountBytes(int64_t more) {
  bytes_ += more;
  most_bytes_ = std::max(most_bytes_, bytes_);
}

int64_t Admission::TakeMostBytes() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(most_bytes_, bytes_);
}

void Admission::Close() {
  std::deque<BulkWaiter> line;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    line.swap(line_);
    if (tickets_ == 0) emptied_.Notify();
  }
  for (BulkWaiter& waiting : line) waiting.admitted(ShuttingDown());
}

bool Admission::AwaitEmpty(absl::Duration timeout) {
  const bool empty = emptied_.WaitFor(timeout);
  absl::MutexLock lock(&mutex_);  // the last ticket may still hold it, and the admission be gone
  return empty;
}

int64_t Admission::waiting_images() const {
  absl::MutexLock lock(&mutex_);
  return waiting_images_;
}

Admission::Ticket::~Ticket() {
  Calls calls;
  {
    absl::MutexLock lock(&admission_->mutex_);
    --admission_->tickets_;
    // Under the lock: without it the admission may be gone.
    if (admission_->closed_ && admission_->tickets_ == 0) admission_->emptied_.Notify();
    if (parked_for_.empty()) {
      admission_->CountWaiting(-waiting_images_, bulk_);
    } else {
      admission_->CountParked(*this, -1);
    }
    admission_->CountBytes(-bytes_);
    calls = admission_->TakeTurns();
  }
  for (const std::function<void()>& call : calls) call();
}

void Admission::Ticket::LeaveQueue(int64_t images) {
  Calls calls;
  {
    absl::MutexLock lock(&admission_->mutex_);
    assert(images <= waiting_images_);
    waiting_images_ -= images;
    admission_->CountWaiting(-images, bulk_);
    calls = admission_->TakeTurns();
  }
  for (const std::function<void()>& call : calls) call();
}

absl::Status Admission::Ticket::Park(const std::string& model) {
  Calls calls;
  {
    absl::MutexLock lock(&admission_->mutex_);
    if (bulk_) {
      const int64_t most_images = admission_->options_.max_waiting_images_for_bulk;
      if (admission_->parked_bulk_images_ + waiting_images_ > most_images) return absl::OkStatus();
    } else if (absl::Status full = admission_->CheckParking(*this, model); !full.ok()) {
      return full;
    }
    parked_for_ = model;
    admission_->CountParked(*this, 1);
    admission_->CountWaiting(-waiting_images_, bulk_);
    calls = admission_->TakeTurns();
  }
  for (const std::function<void()>& call : calls) call();
  return absl::OkStatus();
}

void Admission::Ticket::Unpark() {
  absl::MutexLock lock(&admission_->mutex_);
  if (parked_for_.empty()) return;
  admission_->CountParked(*this, -1);
  parked_for_.clear();
  admission_->CountWaiting(waiting_images_, bulk_);
}

absl::Status Admission::Ticket::Grow(int64_t bytes) {
  absl::MutexLock lock(&admission_->mutex_);
  const int64_t limit = admission_->options_.max_bytes;
  if (bytes_ + bytes > limit) return TooLarge(bytes_ + bytes, limit);
  if (!bulk_ && admission_->bytes_ + bytes > limit) {
    return WithReason(
        admission_->Full(absl::StrCat("the queue is full: its requests hold ", admission_->bytes_,
                                      " bytes, ", bytes, " more would exceed ", limit),
                         kUnknownRetryDelay),
        "QUEUE_FULL");
  }
  bytes_ += bytes;
  admission_->CountBytes(bytes);
  return absl::OkStatus();
}

}  // namespace cytopress
