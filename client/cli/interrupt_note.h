// What Ctrl-C says and does while a command looks on, or has something to tidy up.
#ifndef CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_
#define CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_

#include <string>

namespace cytopress {

// While it lives, SIGINT writes `message` to standard error and ends the program with exit code
// 130. One of these and of InterruptFlag at a time in a process.
class InterruptNote {
 public:
  explicit InterruptNote(std::string message);
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;

 private:
  std::string message_;
};

// While it lives, the first SIGINT writes `message` to standard error and is kept in mind; a second
// one ends the program as it does without.
class InterruptFlag {
 public:
  explicit InterruptFlag(std::string message);
  ~InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;

  bool raised() const;

 private:
  std::string message_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_INTERRUPT_NOTE_H_
