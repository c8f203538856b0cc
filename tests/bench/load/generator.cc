#include "tests/bench/load/generator.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "cytopress/v1/inference.grpc.pb.h"

namespace cytopress {
namespace {

class Generator {
 public:
  explicit Generator(const LoadOptions& options) : options_(options) {
    for (int i = 0; i < options.connections; ++i) {
      grpc::ChannelArguments arguments;
      // Without it all channels to one address share a connection.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      stubs_.push_back(v1::InferenceService::NewStub(grpc::CreateCustomChannel(
          options.target, grpc::InsecureChannelCredentials(), arguments)));
    }
    for (size_t i = 0; i < options.images.size(); ++i) {
      v1::ClassifyRequest request;
      request.set_model(options.model);
      for (int j = 0; j < options.images_a_request; ++j) {
        request.add_images()->set_encoded(options.images[(i + j) % options.images.size()]);
      }
      requests_.push_back(std::move(request));
    }
  }

  LoadResult Run(const std::function<void()>& on_start, const std::function<void()>& on_end) {
    const absl::Duration begin = RealClock()->Steady();
    start_ = begin + options_.warm_up;
    end_ = start_ + options_.duration;
    std::thread sender([this, begin] {
      if (options_.rate > 0) return SendAtRandom(begin);
      for (int i = 0; i < options_.in_flight; ++i) Send(RealClock()->Steady());
    });
    absl::SleepFor(start_ - RealClock()->Steady());
    on_start();
    const absl::Duration measured_from = RealClock()->Steady();
    absl::SleepFor(end_ - RealClock()->Steady());
    on_end();
    LoadResult result;
    result.seconds = absl::ToDoubleSeconds(RealClock()->Steady() - measured_from);
    sender.join();
    absl::MutexLock lock(&mutex_);
    const auto all_answered = [this]()
                                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ == 0; };
    mutex_.Await(absl::Condition(&all_answered));
    result.requests = std::move(done_);
    result.first_error = std::move(first_error_);
    return result;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::ClassifyResponse response;
    absl::Duration due;
  };

  void SendAtRandom(absl::Duration begin) {
    std::mt19937_64 random(1);
    std::exponential_distribution<double> pause(options_.rate);
    for (absl::Duration due = begin; due < end_; due += absl::Seconds(pause(random))) {
      // Sleeping is inexact: those that have become due meanwhile follow at once.
      const absl::Duration early = due - RealClock()->Steady();
      if (early > absl::Microseconds(50)) absl::SleepFor(early);
      Send(due);
    }
  }

  void Send(absl::Duration due) {
    {
      absl::MutexLock lock(&mutex_);
      ++running_;
    }
    const size_t number = next_++;
    auto* const call = new Call;
    call->due = due;
    const absl::Duration left = due + options_.deadline - RealClock()->Steady();
    call->context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(left));
    stubs_[number % stubs_.size()]->async()->Classify(
        &call->context, &requests_[number % requests_.size()], &call->response,
        [this, call](const grpc::Status& status) { OnDone(call, status); });
  }

  void OnDone(Call* call, const grpc::Status& status) {
    const absl::Duration now = RealClock()->Steady();
    const absl::Duration due = call->due;
    delete call;
    const bool closed_loop = options_.rate <= 0;
    if (closed_loop && now < end_) Send(now);
    absl::MutexLock lock(&mutex_);
    if (!status.ok() && first_error_.ok()) {
      first_error_ =
          absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    }
    if (due >= start_ && due < end_) {
      done_.push_back({absl::ToDoubleSeconds(now - due), status.error_code()});
    }
    --running_;
  }

  const LoadOptions& options_;
  std::vector<std::unique_ptr<v1::InferenceService::Stub>> stubs_;
  std::vector<v1::ClassifyRequest> requests_;
  absl::Duration start_, end_;  // of the measured time
  std::atomic<size_t> next_{0};

  absl::Mutex mutex_;
  int64_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<LoadResult::Request> done_ ABSL_GUARDED_BY(mutex_);
  absl::Status first_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

LoadResult GenerateLoad(const LoadOptions& options, const std::function<void()>& on_start,
                        const std::function<void()>& on_end) {
  return Generator(options).Run(on_start, on_end);
}

}  // namespace cytopress
