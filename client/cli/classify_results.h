// What `classify` has found out, and how it is shown.
#ifndef CYTOPRESS_CLIENT_CLI_CLASSIFY_RESULTS_H_
#define CYTOPRESS_CLIENT_CLI_CLASSIFY_RESULTS_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cli/colour_notes.h"
#include "client/cli/console.h"
#include "client/client.h"
#include "core/image/image.h"

namespace cytopress {

// What is known of one file. It has an answer when there is no error.
struct FileResult {
  std::string path;
  absl::Status error;  // why there is no answer
  v1::Classification answer;
  std::optional<int> truth;            // a class
  std::optional<ImageSize> size;       // where the file says it
  ImageKind kind;                      // that goes with it
  std::vector<std::string> notes;      // names of what is odd about it (client/cli/image_note.h)
  std::optional<std::string> content;  // of standard input, which can be read but once

  bool right() const {
    return truth.has_value() && error.ok() && answer.classes(0).index() == *truth;
  }
};

struct ClassifyResults {
  std::vector<FileResult> files;
  int64_t not_classified = 0;            // that a run which ended early did not come to, besides
  std::vector<std::string> class_names;  // empty unless the files' true classes are known
  ClassifySummary summary;               // of the files that have an answer
  double first_wait_seconds = 0;         // of the request that was answered first, in the service
  std::vector<std::string> notes;        // sentences for people

  bool with_truth() const { return !class_names.empty(); }
};

// FilesFailed when some have no answer, the first one's error when none has, else OK. The message
// names the first and, of several files, says how many.
absl::Status Failures(const ClassifyResults& results);

// "12 images in 2.0 s (6.0 images/s)"; `by` stands behind the images: " by blood@2".
std::string SpeedInWords(int64_t images, absl::string_view by, absl::Duration elapsed);

// All that is known; `with_files`: of each file, too.
Json ToJson(const ClassifyResults& results, bool with_files);

// RFC 4180, with a heading: file,class,probability,error,notes, and before `error` truth,right
// where they are known. A row for each class of a file's answer; one with the error for a file
// without.
std::string ToCsv(const ClassifyResults& results);

// The same as a table, an error behind its file.
void PrintFiles(const ClassifyResults& results, std::ostream* out);

// How many were right of each class, and how long it took. Nothing without an answer.
void PrintTotals(const ClassifyResults& results, std::ostream* out);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CLASSIFY_RESULTS_H_
