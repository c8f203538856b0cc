#include "client/cli/interrupt_note.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <utility>

#include "client/cli/cli.h"

namespace cytopress {
namespace {

// Read by the signal handler, which may use nothing but such plain values and write(2).
std::atomic<const char*> note_bytes{nullptr};
std::atomic<size_t> note_size{0};

void OnInterrupt(int) {
  const char* const bytes = note_bytes.load();
  if (bytes != nullptr && write(STDERR_FILENO, bytes, note_size.load()) < 0) {
    _exit(static_cast<int>(ExitCode::kFailed));
  }
  _exit(static_cast<int>(ExitCode::kInterrupted));
}

}  // namespace

InterruptNote::InterruptNote(std::string message) : message_(std::move(message)) {
  note_size.store(message_.size());
  note_bytes.store(message_.data());
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigaction(SIGINT, &action, nullptr);
}

InterruptNote::~InterruptNote() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(SIGINT, &action, nullptr);
  note_bytes.store(nullptr);
}

}  // namespace cytopress
