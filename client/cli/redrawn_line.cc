#include "client/cli/redrawn_line.h"

#include <algorithm>

#include "client/cli/console.h"

namespace cytopress {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(200);

}  // namespace

RedrawnLine::~RedrawnLine() {
  if (drawn_) *out_ << '\r' << kClearToEnd << std::flush;
}

void RedrawnLine::Draw(const std::string& text) {
  due_ = clock_->Steady() + kInterval;
  *out_ << '\r' << text.substr(0, std::max(columns_ - 1, 0)) << kClearToEnd << std::flush;
  drawn_ = true;
}

}  // namespace cytopress
