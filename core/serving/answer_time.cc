#include "core/serving/answer_time.h"

#include <algorithm>

namespace cytopress {
namespace {

// Of one image in the running mean of the time that decoding a byte takes.
constexpr double kDecodeWeight = 0.05;
// What one image takes a byte counts as at most so many times the mean: a few bytes can hold a
// large image, and must not let those of others be refused.
constexpr double kMostOfMean = 4;

}  // namespace

absl::Duration AnswerTime::Predict(const ModelHandle& model, int64_t images,
                                   int64_t encoded_bytes) const {
  if (model == nullptr) return absl::ZeroDuration();
  double margin;
  double seconds_per_byte;
  int64_t undecoded_images;
  int64_t undecoded_bytes;
  {
    absl::MutexLock lock(&mutex_);
    margin = margin_.value();
    seconds_per_byte = decode_seconds_per_byte_.value() / decode_threads_;
    undecoded_images = undecoded_images_;
    undecoded_bytes = undecoded_bytes_;
  }
  const BatchLoad load = model->scheduler.load();
  // Without anything before it, a request is welcome whatever the means say: it corrects them.
  if (load.images + undecoded_images + undecoded_bytes == 0) return absl::ZeroDuration();
  // Decoding and computing go on side by side: whichever has more to do decides. Those not yet
  // decoded are taken to be this model's, all of them.
  const absl::Duration decoding = absl::Seconds(undecoded_bytes * seconds_per_byte);
  // Those that fill batches are computed before; the others are in the same one.
  const int64_t before = load.waiting + undecoded_images;
  const int64_t beside = before % load.capacity_images;
  const absl::Duration computing = load.until_free + (before - beside) * load.per_image;
  const absl::Duration own =
      absl::Seconds(encoded_bytes * seconds_per_byte) +
      std::max(model->scheduler.BatchTime(beside + images), (beside + images) * load.per_image);
  return margin * (std::max(decoding, computing) + own);
}

void AnswerTime::SetUndecoded(Load* load, bool undecoded) {
  absl::MutexLock lock(&mutex_);
  if (load->undecoded == undecoded) return;
  load->undecoded = undecoded;
  const int64_t sign = undecoded ? 1 : -1;
  undecoded_images_ += sign * load->images;
  undecoded_bytes_ += sign * load->encoded_bytes;
}

void AnswerTime::NoteDecoded(int64_t encoded_bytes, absl::Duration time) {
  double a_byte = absl::ToDoubleSeconds(time) / static_cast<double>(encoded_bytes);
  absl::MutexLock lock(&mutex_);
  const double mean = decode_seconds_per_byte_.value();
  if (mean > 0) a_byte = std::min(a_byte, kMostOfMean * mean);
  decode_seconds_per_byte_.Add(a_byte, kDecodeWeight);
}

void AnswerTime::JudgePrediction(absl::Duration predicted, absl::Duration time,
                                 const absl::Status& end) {
  if (predicted == absl::ZeroDuration()) return;
  // Who gives up, or sends what is no image, does not say how long the answer would have taken;
  // only who has waited for longer than that says that it would have been late.
  const bool late = absl::IsDeadlineExceeded(end) || (absl::IsCancelled(end) && time > predicted);
  if (!end.ok() && !late) return;
  absl::MutexLock lock(&mutex_);
  margin_.Note(late);
}

double AnswerTime::margin() const {
  absl::MutexLock lock(&mutex_);
  return margin_.value();
}

}  // namespace cytopress
