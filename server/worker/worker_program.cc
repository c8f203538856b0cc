#include "server/worker/worker_program.h"

#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/arguments.h"
#include "core/base/device.h"
#include "core/base/help.h"
#include "core/base/status_macros.h"
#include "core/base/steady_notification.h"
#include "core/jobs/registry_binding.h"
#include "core/registry/model_registry.h"
#include "server/worker/process_lock.h"

namespace cytopress {
namespace {

struct Flags {
  std::string database;
  WorkerSettings settings;
  WorkerOptions options;
  int parent_pid = 0;
};

void Declare(CLI::App* app, Flags* flags) {
  app->add_option("--database", flags->database,
                  "job database, sqlite:///absolute/path.db or postgresql://HOST/DATABASE")
      ->required();
  app->add_option("--models", flags->settings.models_folder,
                  "folder of published models, the same for all of the database")
      ->required();
  app->add_option("--work", flags->options.work_folder,
                  "folder for checkpoints; the same for all workers of a machine")
      ->required();
  app->add_option("--device", flags->settings.device, "cpu or cuda:N")
      ->transform(CLI::Validator(NormalizeDevice, "cpu or cuda:N"))
      ->default_val("cpu");
  app->add_option("--threads", flags->settings.threads, "threads of a job, 0 = all cores")
      ->check(CLI::Range(0, 1024));
  app->add_option("--name", flags->options.name,
                  "name of this worker, unique in the database; default: host and process number");
  app->add_flag("--once", flags->options.once, "end after one job, or at once when there is none");
  app->add_option("--die-with-parent", flags->parent_pid,
                  "process number of the parent: when it ends, this worker gives its job back and "
                  "ends too")
      ->check(CLI::PositiveNumber);
  app->footer(
      "Example:\n"
      "  cytopress-worker --database sqlite:///var/lib/cytopress/jobs.db \\\n"
      "      --models /var/lib/cytopress/models --work /var/lib/cytopress/work");
}

std::string DefaultName() { return absl::StrCat(HostName("worker"), "-", getpid()); }

// False when the parent is gone already.
bool FollowParent(int parent_pid) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  return getppid() == parent_pid;
}

// Waits for SIGTERM and SIGINT in a thread of its own, so that nothing runs in a signal handler.
// Construct it before any other thread: they inherit the blocked signals.
class SignalThread {
 public:
  // Without a parent, a second signal ends the process at once. The worker of a server may get one
  // from it, from who ends the service, and from the kernel when the server has gone.
  SignalThread(int parent_pid, SteadyNotification* stop) {
    sigemptyset(&signals_);
    for (int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this, parent_pid, stop] {
      int signal = 0;
      sigwait(&signals_, &signal);
      stop->Notify();
      if (signal == SIGUSR1) return;
      spdlog::info("{}: stopping at the next step{}", strsignal(signal),
                   parent_pid == 0 ? "; another signal ends it at once" : "");
      sigset_t end;
      sigemptyset(&end);
      sigaddset(&end, SIGUSR1);
      if (parent_pid == 0) pthread_sigmask(SIG_SETMASK, &end, nullptr);
      sigwait(&end, &signal);
    });
  }
  ~SignalThread() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  sigset_t signals_;
  std::thread thread_;
};

absl::Status Work(const Flags& flags, const RunJobFactory& make_run_job, Clock* clock,
                  const DeviceCheck& check_device, const SteadyNotification* stop) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ProcessLock lock,
                             ProcessLock::Take(flags.options.work_folder, flags.options.name));
  JobStoreOptions store_options;
  store_options.create = false;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::unique_ptr<JobStore> store,
                             OpenJobStore(flags.database, clock, store_options));
  CYTOPRESS_ASSIGN_OR_RETURN(ModelRegistry registry,
                             ModelRegistry::Open(flags.settings.models_folder));
  CYTOPRESS_RETURN_IF_ERROR(BindRegistry(&registry, store.get()));
  CYTOPRESS_ASSIGN_OR_RETURN(RunJob run_job, make_run_job(flags.settings));
  // A device that is there and does not work would cost each job in the queue its attempts.
  CYTOPRESS_RETURN_IF_ERROR(check_device(flags.settings.device));
  spdlog::info("worker {} on {}", flags.options.name, flags.settings.device);
  WorkerOptions options = flags.options;
  options.check_device = [&] { return check_device(flags.settings.device); };
  // A folder that is unmounted would cost each job in the queue its attempts.
  options.check = [&registry] { return registry.Identity().status(); };
  return WorkerLoop(options, std::move(run_job), store.get(), clock, stop).Run();
}

}  // namespace

int RunWorkerProgram(int argc, char** argv, const RunJobFactory& make_run_job, Clock* clock,
                     const DeviceCheck& check_device) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("cytopress-worker"));
  Flags flags;
  CLI::App app("Runs compression jobs: trains, prunes, quantizes, evaluates, publishes models.",
               "cytopress-worker");
  app.formatter(std::make_shared<HelpFormatter>(TerminalColumns()));
  app.set_version_flag("--version", "cytopress-worker " CYTOPRESS_VERSION);
  app.failure_message(UsageMessage);
  Declare(&app, &flags);
  try {
    app.parse(ArgumentsToParse(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (flags.options.name.empty()) flags.options.name = DefaultName();
  flags.options.attempt.device = flags.settings.device;
  // Nothing is destroyed: that would wait for the thread that hangs.
  flags.options.attempt.on_hang = [] { _exit(1); };

  SteadyNotification stop;
  SignalThread signals(flags.parent_pid, &stop);
  if (flags.parent_pid != 0 && !FollowParent(flags.parent_pid)) {
    spdlog::info("the parent process has ended");
    return 0;
  }
  const absl::Status status = Work(flags, make_run_job, clock, check_device, &stop);
  if (status.ok()) return 0;
  spdlog::error("{}", status.ToString());
  return 1;
}

}  // namespace cytopress
