// Reads what a database or a folder says on a thread of its own: one that hangs keeps no scrape
// waiting for long.
#ifndef CYTOPRESS_SERVER_METRICS_STATE_READER_H_
#define CYTOPRESS_SERVER_METRICS_STATE_READER_H_

#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/registry/model_registry.h"

namespace cytopress {

// What was read, and what could not be. The latter shows in the log, in metrics that are missing,
// and in cytopress_state_readable.
struct StateReading {
  void Note(const std::string& what, const absl::Status& status);
  // The same without a line in the log.
  void Skip(const std::string& what, const absl::Status& status);

  std::vector<prometheus::MetricFamily> families;
  std::vector<ModelVersion> models;  // that are published
  std::vector<std::pair<std::string, bool>> readable;
};

// Thread-safe.
class StateReader {
 public:
  // `read` notes all of `whats`. At its end the reader waits for a reading that is under way, but
  // no longer than `end_patience`; then it leaves the reading to itself. So `read` must own what it
  // uses, unless that is InfiniteDuration. `clock` must outlive the reader.
  StateReader(std::vector<std::string> whats, std::function<StateReading()> read, Clock* clock,
              absl::Duration end_patience);
  ~StateReader();
  StateReader(const StateReader&) = delete;
  StateReader& operator=(const StateReader&) = delete;

  // Has it read anew, unless it does already or did less than a second ago.
  void Ask();
  // What it read last, after a wait of at most `patience` for what it was asked for. Once that is a
  // minute old, nothing: none of `whats` is readable.
  StateReading Get(absl::Duration patience);

 private:
  class Board;

  const std::shared_ptr<Board> board_;  // which the thread holds as long as it reads
  const absl::Duration end_patience_;
  std::thread thread_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_STATE_READER_H_
