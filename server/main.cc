// cytopressd: the front door.
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/device.h"
#include "core/base/steady_notification.h"
#include "server/daemon.h"
#include "server/flags.h"
#include "server/gpu_engine.h"
#include "server/supervisor/cores.h"

namespace cytopress {
namespace {

// Only another process can use the GPU again.
std::atomic<bool> gpu_lost{false};

std::atomic<bool> serves{false};

// What the end waits for.
std::atomic<const char*> awaited{"nothing"};

constexpr int kHangs = 3;

// Each connection takes a file descriptor, and gRPC listens no more, until the next start, once it
// has had none for a connection.
void AllowMostDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    spdlog::warn("the limit of open files stays as it is: {}", std::strerror(errno));
  }
}

void EndWithoutGpu() {
  if (gpu_lost.exchange(true)) return;
  spdlog::critical("the GPU is lost to this process, which stops; start it anew");
  kill(getpid(), SIGTERM);
}

absl::StatusOr<EngineFactory> FactoryFor(const Flags& flags) {
  const std::optional<int> gpu = GpuIndex(flags.inference_device);
  if (!gpu.has_value()) return EngineFactory(CreateEngine);
  return LoadGpuEngine(flags.gpu_module, *gpu, EndWithoutGpu);
}

// What ends the server.
sigset_t EndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  // A terminal that is closed, unless whoever started the server (nohup) has it stay then.
  struct sigaction hangup = {};
  const bool ignored = sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler == SIG_IGN;
  if (!ignored) sigaddset(&signals, SIGHUP);
  return signals;
}

// The first of `signals`, which all threads must block. Until the server serves, it ends the
// process there and then: a start takes as long as a disk or a database hangs, and leaves nothing
// behind that the next one minds. Workers end with it.
std::future<int> TakeFirst(const sigset_t& signals) {
  std::promise<int> promise;
  std::future<int> first = promise.get_future();
  std::thread([signals, promise = std::move(promise)]() mutable {
    int number = 0;
    sigwait(&signals, &number);
    if (!serves) {
      spdlog::info("{}: stopping before the start was complete", strsignal(number));
      _exit(gpu_lost ? 1 : 0);
    }
    promise.set_value(number);
  }).detach();
  return first;
}

// A disk or a database that hangs must not hold up the end. A thread that waits for one cannot be
// told to stop, so that the process ends with it.
void EndWithin(absl::Duration patience) {
  std::thread([patience] {
    SteadyNotification().WaitFor(patience);
    alarm(5);  // who reads the log may hang, too
    spdlog::critical("not stopped after {}: still waiting for {}; ending with exit code {}",
                     absl::FormatDuration(patience), awaited.load(), kHangs);
    _exit(kHangs);
  }).detach();
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  std::variant<cytopress::Flags, int> parsed = cytopress::ParseFlags(argc, argv);
  if (const int* const code = std::get_if<int>(&parsed)) return *code;
  cytopress::Flags& flags = std::get<cytopress::Flags>(parsed);
  spdlog::set_default_logger(spdlog::stderr_color_mt("cytopressd"));
  spdlog::set_level(spdlog::level::from_str(flags.log_level));
  cytopress::AllowMostDescriptors();

  // Debian's Abseil looks for cycles in the order of locks at every lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  // Before there is any other thread: they inherit it.
  if (!flags.serving_cores.empty()) {
    const absl::Status status = cytopress::UseCores(0, flags.serving_cores);
    if (!status.ok()) {
      spdlog::error("--serving-cores: {}", std::string(status.message()));
      return 2;
    }
  }

  // Blocked before there is any other thread: they inherit it, and only TakeFirst has the signals.
  sigset_t signals = cytopress::EndingSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Whoever started the server may ignore it, and it would learn of no worker's end.
  signal(SIGCHLD, SIG_DFL);
  // A client that goes away must not end the server.
  signal(SIGPIPE, SIG_IGN);
  std::future<int> first_signal = cytopress::TakeFirst(signals);

  absl::StatusOr<cytopress::EngineFactory> factory = cytopress::FactoryFor(flags);
  if (!factory.ok()) {
    spdlog::error("--inference-device {}: {}", flags.inference_device,
                  std::string(factory.status().message()));
    // A GPU that is gone may be back at the next start, which systemd sees to after a 1.
    return absl::IsUnavailable(factory.status()) ? 1 : 2;
  }
  flags.daemon.make_engine = *std::move(factory);
  flags.daemon.on_serving = [] { cytopress::serves = true; };
  flags.daemon.on_awaiting = [](const char* what) { cytopress::awaited = what; };

  absl::StatusOr<std::unique_ptr<cytopress::Daemon>> daemon =
      cytopress::Daemon::Start(flags.daemon);
  if (!daemon.ok()) {
    spdlog::error("cytopressd cannot start: {}", std::string(daemon.status().message()));
    return absl::IsInvalidArgument(daemon.status()) ? 2 : 1;
  }
  const int signal_number = first_signal.get();
  const bool lost = cytopress::gpu_lost.exchange(true);  // from here on it ends nothing more
  spdlog::info("{}: stopping; another signal ends it at once", strsignal(signal_number));
  // A terminal that is closed may send several.
  sigdelset(&signals, SIGHUP);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  cytopress::EndWithin((*daemon)->shutdown_patience());
  (*daemon)->Shutdown();
  return lost ? 1 : 0;
}
