// Shows how many images are classified already: a line on standard error that is redrawn on a
// terminal, nothing elsewhere.
#ifndef CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_
#define CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_

#include <cstdint>

#include "absl/time/time.h"
#include "client/cli/console.h"
#include "core/base/clock.h"

namespace cytopress {

// Not thread-safe.
class ImageLine {
 public:
  // Of `total` images. Nothing is drawn of what takes less than a second.
  ImageLine(const Console& console, int64_t total, const Clock* clock = RealClock())
      : console_(console),
        total_(total),
        clock_(clock),
        started_(clock->Steady()),
        due_(started_ + kFirst) {}
  // Takes the line away.
  ~ImageLine();
  ImageLine(const ImageLine&) = delete;
  ImageLine& operator=(const ImageLine&) = delete;

  // "classifying [####....] 1200 of 3840 images  430/s  ETA 6.1 s"; `images` are done.
  void Show(int64_t images);

 private:
  static constexpr absl::Duration kFirst = absl::Seconds(1);
  static constexpr absl::Duration kInterval = absl::Milliseconds(200);

  const Console console_;
  const int64_t total_;
  const Clock* const clock_;
  const absl::Duration started_;
  absl::Duration due_;  // of the next drawing
  bool drawn_ = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_
