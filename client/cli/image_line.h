// Shows how many images are classified already: a line on standard error that is redrawn on a
// terminal, nothing elsewhere.
#ifndef CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_
#define CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_

#include <cstdint>
#include <string>

#include "client/cli/console.h"
#include "client/cli/redrawn_line.h"

namespace cytopress {

// Not thread-safe.
class ImageLine {
 public:
  // Of `total` images.
  ImageLine(const Console& console, int64_t total, const Clock* clock = RealClock())
      : total_(total), line_(console.err, console.err_terminal, console.columns, clock) {}

  // "classifying [####....] 1200 of 3840 images  430/s  ETA 6.1 s"; `images` are done.
  void Show(int64_t images);
  // "classifying [####....] 1200 of 3840 images  waiting for the server ...".
  void ShowWaiting(int64_t images);

 private:
  bool IsDue() const { return total_ > 0 && line_.IsDue(); }
  std::string Done(int64_t images) const;

  const int64_t total_;
  RedrawnLine line_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_IMAGE_LINE_H_
