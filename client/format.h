// Numbers and text as people read them, on the terminal and in reports.
#ifndef CYTOPRESS_CLIENT_FORMAT_H_
#define CYTOPRESS_CLIENT_FORMAT_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace cytopress {

// What others wrote (names, errors) may hold escape sequences: control characters become '?', and
// so do those that turn the direction of writing.
std::string Printable(absl::string_view text);

// A word of a shell's command line.
std::string Quoted(absl::string_view word);

std::string FormatBytes(int64_t bytes);          // "23.5 MB", decimal units
std::string FormatSeconds(double seconds);       // "33 ms", "4.2 s", "3:12 min", "1:02:03 h"
std::string FormatMilliseconds(double seconds);  // "3.25 ms"
std::string FormatPercent(double fraction, int digits = 2);  // "95.32 %"; NaN is "-"
std::string FormatFigure(double value, int digits = 4);      // "0.9714"; NaN is "-"
// "2026-11-30 09:05 CET", local; "-" when unset.
std::string FormatTimestamp(const google::protobuf::Timestamp& time);
std::string FormatImages(int64_t count);            // "1 image", "2 images"
std::string FormatBar(double fraction, int width);  // "####......"

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_FORMAT_H_
