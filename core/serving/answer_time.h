// How long an answer will take: told from what waits, and from what was decoded and computed
// before.
#ifndef CYTOPRESS_CORE_SERVING_ANSWER_TIME_H_
#define CYTOPRESS_CORE_SERVING_ANSWER_TIME_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/serving/model_host.h"
#include "core/serving/prediction_margin.h"
#include "core/serving/running_mean.h"

namespace cytopress {

// Thread-safe.
class AnswerTime {
 public:
  // What a request brings with it.
  struct Load {
    int64_t images = 0;  // that others wait for in the batches
    int64_t encoded_bytes = 0;
    bool undecoded = false;  // guarded by the mutex of the AnswerTime
  };

  explicit AnswerTime(int decode_threads) : decode_threads_(decode_threads) {}

  // Time from now to the answer to `images` images in `encoded_bytes` of PNG or JPEG; zero when
  // nothing waits or there is no `model`.
  absl::Duration Predict(const ModelHandle& model, int64_t images, int64_t encoded_bytes) const;

  // Whether the request counts among those that have to be decoded before one that comes now.
  // Nothing changes where that is set already.
  void SetUndecoded(Load* load, bool undecoded);
  // A thread decoded an image of `encoded_bytes` of PNG or JPEG in `time`.
  void NoteDecoded(int64_t encoded_bytes, absl::Duration time);
  // Learns from a request that was `predicted` to take so long (zero: nothing was), and ended with
  // `end` after `time`, whether the margin is large enough.
  void JudgePrediction(absl::Duration predicted, absl::Duration time, const absl::Status& end);

  // The safety factor in what Predict says (prediction_margin.h).
  double margin() const;

 private:
  const int decode_threads_;

  mutable absl::Mutex mutex_;
  PredictionMargin margin_ ABSL_GUARDED_BY(mutex_);
  RunningMean decode_seconds_per_byte_ ABSL_GUARDED_BY(mutex_);  // of one thread
  int64_t undecoded_images_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t undecoded_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of PNG and JPEG
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_ANSWER_TIME_H_
