// What is compared: something that classifies a batch and says how long it took.
#ifndef CYTOPRESS_TESTS_BENCH_CONTENDER_H_
#define CYTOPRESS_TESTS_BENCH_CONTENDER_H_

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/engine.h"
#include "tests/bench/stopwatch.h"

namespace cytopress {

class Contender {
 public:
  virtual ~Contender() = default;
  virtual const std::string& name() const = 0;
  // Seconds of one pass over `batch` images.
  virtual absl::StatusOr<double> Run(int batch) = 0;
  // The probabilities of the first image, to see that all contenders compute the same.
  virtual absl::StatusOr<std::vector<float>> FirstImage() = 0;
  // Bytes of RAM that the model and its working memory take.
  virtual absl::StatusOr<double> Memory() = 0;
};

// One of our engines, from uint8 pixels to probabilities.
class EngineContender : public Contender {
 public:
  // pixels: as many images as the largest batch. suffix: of the name. memory: what the engine took
  // when it was made and had computed all batch sizes.
  EngineContender(std::unique_ptr<Engine> engine, std::vector<uint8_t> pixels, TimeKind time,
                  const std::string& suffix, double memory);

  const std::string& name() const override { return name_; }
  absl::StatusOr<double> Run(int batch) override;
  absl::StatusOr<std::vector<float>> FirstImage() override;
  absl::StatusOr<double> Memory() override { return memory_; }

 private:
  const std::unique_ptr<Engine> engine_;
  const std::string name_;
  const std::vector<uint8_t> pixels_;
  const TimeKind time_;
  const double memory_;
  std::vector<float> probabilities_;
};

// A contender in a process of its own, for what is fixed when a process starts. The child answers
// each line on its standard input with one line: "first" with probabilities, "memory" with the
// bytes by which it has grown since before the model, a number N with the seconds of a batch of N
// (RunTorchWorker).
class ChildContender : public Contender {
 public:
  // Starts this same program with `arguments` and `environment` ("NAME=value") added.
  static absl::StatusOr<std::unique_ptr<ChildContender>> Start(
      std::string name, const std::vector<std::string>& arguments,
      const std::vector<std::string>& environment);
  // The same with another program, by path or looked for in PATH.
  static absl::StatusOr<std::unique_ptr<ChildContender>> StartProgram(
      const std::string& program, std::string name, const std::vector<std::string>& arguments,
      const std::vector<std::string>& environment);
  // Closes the child's input and waits for its end.
  ~ChildContender() override;

  const std::string& name() const override { return name_; }
  absl::StatusOr<double> Run(int batch) override;
  absl::StatusOr<std::vector<float>> FirstImage() override;
  absl::StatusOr<double> Memory() override;

 private:
  ChildContender(std::string name, pid_t child, FILE* to_child, FILE* from_child)
      : name_(std::move(name)), child_(child), to_child_(to_child), from_child_(from_child) {}
  absl::StatusOr<std::vector<float>> Ask(const std::string& question);

  const std::string name_;
  const pid_t child_;
  FILE* const to_child_;
  FILE* const from_child_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_CONTENDER_H_
