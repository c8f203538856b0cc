// What Ctrl-C says while a command only looks on.
#ifndef CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_
#define CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_

#include <string>

namespace cytopress {

// While it lives, SIGINT writes `message` to standard error and ends the program with exit code
// 130. One at a time in a process.
class InterruptNote {
 public:
  explicit InterruptNote(std::string message);
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;

 private:
  std::string message_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_
