#include "client/cli/interrupt_note.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "client/cli/cli.h"

namespace cytopress {
namespace {

// Used by the signal handlers, which may use nothing but such plain values and write(2).
std::atomic<const char*> note_bytes{nullptr};
std::atomic<size_t> note_size{0};
std::atomic<bool> interrupted{false};

bool WriteNote() {
  const char* const bytes = note_bytes.load();
  return bytes == nullptr || write(STDERR_FILENO, bytes, note_size.load()) >= 0;
}

void EndProgram(int) {
  _exit(static_cast<int>(WriteNote() ? ExitCode::kInterrupted : ExitCode::kFailed));
}

void KeepInMind(int) {
  const int error = errno;  // of what is interrupted
  WriteNote();
  interrupted.store(true);
  errno = error;
}

void OnInterrupt(void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
}

void Listen(const std::string& message, void (*handler)(int), int flags) {
  note_size.store(message.size());
  note_bytes.store(message.data());
  OnInterrupt(handler, flags);
}

void StopListening() {
  OnInterrupt(SIG_DFL, 0);
  note_bytes.store(nullptr);
}

}  // namespace

InterruptNote::InterruptNote(std::string message) : message_(std::move(message)) {
  Listen(message_, EndProgram, 0);
}

InterruptNote::~InterruptNote() { StopListening(); }

InterruptFlag::InterruptFlag(std::string message) : message_(std::move(message)) {
  interrupted.store(false);
  Listen(message_, KeepInMind, SA_RESTART | SA_RESETHAND);
}

InterruptFlag::~InterruptFlag() { StopListening(); }

bool InterruptFlag::raised() const { return interrupted.load(); }

}  // namespace cytopress
