#include "core/serving/admission.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// About what a full queue takes to empty; clients spread their own retries.
constexpr absl::Duration kRetryDelay = absl::Milliseconds(200);

absl::Status Full(const std::string& why) {
  return WithReason(
      WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat(why, "; try again later")),
                     kRetryDelay),
      "QUEUE_FULL");
}

}  // namespace

Admission::~Admission() {
  absl::MutexLock lock(&mutex_);
  assert(tickets_ == 0);
}

absl::StatusOr<std::unique_ptr<Admission::Ticket>> Admission::Admit(int64_t images, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (closed_) {
    return WithReason(absl::UnavailableError("the server is shutting down"), "SHUTTING_DOWN");
  }
  if (waiting_images_ + images > options_.max_waiting_images) {
    return Full(absl::StrCat("the queue is full: ", waiting_images_, " images wait, ", images,
                             " more would exceed ", options_.max_waiting_images));
  }
  if (bytes_ + bytes > options_.max_bytes) {
    return Full(absl::StrCat("the queue is full: its requests hold ", bytes_, " bytes, ", bytes,
                             " more would exceed ", options_.max_bytes));
  }
  ++tickets_;
  waiting_images_ += images;
  bytes_ += bytes;
  return std::unique_ptr<Ticket>(new Ticket(this, images, bytes));
}

void Admission::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

bool Admission::AwaitEmpty(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto empty = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return tickets_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&empty), timeout);
}

int64_t Admission::waiting_images() const {
  absl::MutexLock lock(&mutex_);
  return waiting_images_;
}

Admission::Ticket::~Ticket() {
  absl::MutexLock lock(&admission_->mutex_);
  --admission_->tickets_;
  admission_->waiting_images_ -= waiting_images_;
  admission_->bytes_ -= bytes_;
}

void Admission::Ticket::LeaveQueue(int64_t images) {
  absl::MutexLock lock(&admission_->mutex_);
  assert(images <= waiting_images_);
  waiting_images_ -= images;
  admission_->waiting_images_ -= images;
}

absl::Status Admission::Ticket::Grow(int64_t bytes) {
  absl::MutexLock lock(&admission_->mutex_);
  const int64_t limit = admission_->options_.max_bytes;
  if (bytes_ + bytes > limit) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          "images: the request and its network inputs take ", bytes_ + bytes,
                          " bytes, more than the server's ", limit, "; send fewer images at once")),
                      "REQUEST_TOO_LARGE");
  }
  if (admission_->bytes_ + bytes > limit) {
    return Full(absl::StrCat("the queue is full: its requests hold ", admission_->bytes_,
                             " bytes, ", bytes, " more would exceed ", limit));
  }
  bytes_ += bytes;
  admission_->bytes_ += bytes;
  return absl::OkStatus();
}

}  // namespace cytopress
