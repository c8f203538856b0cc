#include "tests/bench/contender.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"

extern char** environ;

namespace cytopress {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status ErrnoStatus(const char* what, int error) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(error)));
}

}  // namespace

EngineContender::EngineContender(std::unique_ptr<Engine> engine, std::vector<uint8_t> pixels,
                                 TimeKind time, const std::string& suffix, double memory)
    : engine_(std::move(engine)),
      name_(engine_->name() + suffix),
      pixels_(std::move(pixels)),
      time_(time),
      memory_(memory),
      probabilities_(pixels_.size() / engine_->image_bytes() * engine_->classes()) {}

absl::StatusOr<double> EngineContender::Run(int batch) {
  const Stopwatch stopwatch(time_);
  CYTOPRESS_RETURN_IF_ERROR(engine_->Classify(
      absl::MakeSpan(pixels_).subspan(0, batch * engine_->image_bytes()), batch,
      absl::MakeSpan(probabilities_).subspan(0, size_t(batch) * engine_->classes())));
  return stopwatch.Seconds();
}

absl::StatusOr<std::vector<float>> EngineContender::FirstImage() {
  CYTOPRESS_RETURN_IF_ERROR(Run(1).status());
  return std::vector<float>(probabilities_.begin(), probabilities_.begin() + engine_->classes());
}

absl::StatusOr<std::unique_ptr<ChildContender>> ChildContender::Start(
    std::string name, const std::vector<std::string>& arguments,
    const std::vector<std::string>& environment) {
  return StartProgram("/proc/self/exe", std::move(name), arguments, environment);
}

absl::StatusOr<std::unique_ptr<ChildContender>> ChildContender::StartProgram(
    const std::string& program, std::string name, const std::vector<std::string>& arguments,
    const std::vector<std::string>& environment) {
  int to_child[2], from_child[2];
  if (pipe(to_child) != 0 || pipe(from_child) != 0) return ErrnoStatus("pipe", errno);
  std::vector<std::string> argv = {program};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> env = environment;  // the first of equal names counts
  for (char** entry = environ; *entry != nullptr; ++entry) env.emplace_back(*entry);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
  for (int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) {
    posix_spawn_file_actions_addclose(&actions, fd);
  }
  pid_t child = 0;
  const int error = posix_spawnp(&child, program.c_str(), &actions, nullptr, Pointers(argv).data(),
                                 Pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  close(to_child[0]);
  close(from_child[1]);
  if (error != 0) return ErrnoStatus("cannot start the child process", error);
  // Not inherited by children started later, which would keep this one's input open.
  fcntl(to_child[1], F_SETFD, FD_CLOEXEC);
  fcntl(from_child[0], F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<ChildContender>(new ChildContender(
      std::move(name), child, fdopen(to_child[1], "w"), fdopen(from_child[0], "r")));
}

ChildContender::~ChildContender() {
  std::fclose(to_child_);
  std::fclose(from_child_);
  waitpid(child_, nullptr, 0);
}

absl::StatusOr<std::vector<float>> ChildContender::Ask(const std::string& question) {
  std::fprintf(to_child_, "%s\n", question.c_str());
  std::fflush(to_child_);
  char* line = nullptr;
  size_t size = 0;
  const ssize_t length = getline(&line, &size, from_child_);
  const std::string answer(line == nullptr || length < 0 ? "" : line);
  std::free(line);
  if (answer.empty()) return absl::InternalError(absl::StrCat(name_, ": the process died"));
  std::vector<float> values;
  for (absl::string_view word : absl::StrSplit(answer, ' ', absl::SkipWhitespace())) {
    values.emplace_back();
    if (!absl::SimpleAtof(word, &values.back())) {
      return absl::InternalError(absl::StrCat(name_, " answered '", answer, "'"));
    }
  }
  return values;
}

absl::StatusOr<double> ChildContender::Run(int batch) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<float> seconds, Ask(absl::StrCat(batch)));
  return seconds.at(0);
}

absl::StatusOr<double> ChildContender::Memory() {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<float> bytes, Ask("memory"));
  return bytes.at(0);
}

absl::StatusOr<std::vector<float>> ChildContender::FirstImage() { return Ask("first"); }

}  // namespace cytopress
