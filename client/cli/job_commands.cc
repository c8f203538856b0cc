// jobs, watch, cancel
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/flag_names.h"
#include "client/cli/follow_job.h"
#include "client/cli/job_printer.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"

namespace cytopress {
namespace {

struct JobFlags {
  std::string id;
  std::string state;
  std::string model;
  int limit = 50;
};

const std::map<std::string, v1::JobState>& JobStatesByName() {
  static const auto* const kNames = [] {
    auto* names = new std::map<std::string, v1::JobState>;
    for (const v1::JobState state : AllJobStates()) (*names)[std::string(StateName(state))] = state;
    return names;
  }();
  return *kNames;
}

std::string ProgressCell(const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_SUCCEEDED) return job.model();
  if (job.state() == v1::JOB_STATE_FAILED) return InWordsOfFlags(job.error());
  if (!job.waiting_reason().empty()) return absl::StrCat("waiting: ", job.waiting_reason());
  if (IsTerminal(job.state()) || job.progress().stage().empty()) return "";
  return absl::StrCat(job.progress().stage(), ", ", FormatPercent(job.progress().fraction(), 0));
}

void PrintJob(const v1::Job& job, std::ostream* out, int columns) {
  const v1::JobSpec& spec = job.spec();
  *out << "job " << Printable(job.id()) << ": " << StateName(job.state());
  if (!job.error().empty()) *out << " (" << Printable(InWordsOfFlags(job.error())) << ")";
  if (!job.waiting_reason().empty()) *out << "\n  waiting:    " << Printable(job.waiting_reason());
  *out << "\n  model:      " << Printable(job.model().empty() ? spec.model_name() : job.model());
  if (!job.parent_model().empty()) *out << ", dense " << Printable(job.parent_model());
  *out << "\n  data set:   " << Printable(spec.dataset().uri())
       << "\n  recipe:     " << Printable(spec.recipe().name());
  if (!spec.base_model().empty()) *out << ", from " << Printable(spec.base_model());
  *out << "\n  attempt:    " << job.attempt() << " of " << job.max_attempts();
  if (!job.worker().empty()) *out << ", worker " << Printable(job.worker());
  *out << "\n  created:    " << FormatTimestamp(job.created())
       << "\n  started:    " << FormatTimestamp(job.started())
       << "\n  finished:   " << FormatTimestamp(job.finished()) << '\n';
  if (!IsTerminal(job.state())) *out << "  progress:   " << ProgressLine(job, 200) << '\n';
  if (job.ledger_size() > 0) *out << '\n';
  PrintLedger(job.ledger(), out, columns);
}

absl::StatusOr<ExitCode> ShowJob(CliContext* context, const std::string& id) {
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(id));
  if (context->json()) {
    PrintJson(ToJson(job), &context->out());
  } else {
    PrintJob(job, &context->out(), context->console().most_columns());
  }
  return ExitCode::kOk;
}

absl::StatusOr<v1::ListJobsResponse> FetchJobs(Client* client, const JobFlags& flags) {
  v1::ListJobsRequest request;
  request.set_model_name(flags.model);
  if (!flags.state.empty()) request.add_states(JobStatesByName().at(flags.state));
  v1::ListJobsResponse all;
  do {
    request.set_page_size(std::min(flags.limit - all.jobs_size(), kPageSize));
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::ListJobsResponse page, client->ListJobs(request));
    all.mutable_jobs()->MergeFrom(page.jobs());
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (all.jobs_size() < flags.limit && !all.next_page_token().empty());
  return all;
}

absl::StatusOr<ExitCode> ListJobs(CliContext* context, const JobFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs, FetchJobs(client, flags));
  if (context->json()) {
    PrintJson(ToJson(jobs), &context->out());
    return ExitCode::kOk;
  }
  if (jobs.jobs().empty()) {
    context->out() << (flags.state.empty() && flags.model.empty()
                           ? "no job yet; `cytopress compress --help` says how to make one\n"
                           : "no such job; `cytopress jobs` lists all\n");
    return ExitCode::kOk;
  }
  Table table({"job", "name", "recipe", "state", ">attempt", "created", "progress"});
  table.SetExpendable({"created", "attempt"});
  for (const v1::Job& job : jobs.jobs()) {
    table.AddRow({job.id(), job.spec().model_name(), job.spec().recipe().name(),
                  std::string(StateName(job.state())), absl::StrCat(job.attempt()),
                  FormatTimestamp(job.created()), ProgressCell(job)});
  }
  table.Print(&context->out(), context->console().most_columns());
  if (!jobs.next_page_token().empty()) {
    context->out() << "(older jobs are left out; --limit shows more)\n";
  }
  return ExitCode::kOk;
}

absl::Status CancelJob(CliContext* context, Client* client, const std::string& id) {
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, client->CancelJob(id));
  if (context->json()) {
    PrintJsonLine(ToJson(job), &context->out());  // of several jobs, each has a line
  } else if (IsTerminal(job.state())) {
    context->out() << "job " << id << " is " << StateName(job.state()) << '\n';
  } else {
    context->out() << "job " << id << " will stop at its next step\n";
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> CancelJobs(CliContext* context, const std::vector<std::string>& ids) {
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  return ForEach(context, ids, [context, client](const std::string& id) {
    return CancelJob(context, client, id);
  });
}

void AddList(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<JobFlags>();
  CLI::App* command = app->add_subcommand("jobs", "list jobs, newest first, or show one");
  CLI::Option* id = command->add_option("ID", flags->id, "show this job with its ledger");
  command->add_option("--state", flags->state, "only jobs in this state")
      ->transform(OneOf(JobStatesByName()))
      ->excludes(id);
  command->add_option("--model", flags->model, "only jobs that make a model of this name")
      ->excludes(id);
  command->add_option("--limit", flags->limit, "how many at most")
      ->check(AtLeast(1))
      ->excludes(id)
      ->capture_default_str();
  command->footer(
      "On a narrow terminal the list has the more important columns only; `cytopress jobs | cat`\n"
      "has all.\n"
      "Examples:\n  cytopress jobs\n  cytopress jobs --state running\n  cytopress jobs ID");
  command->callback([context, flags] {
    context->set_command([context, flags] {
      return flags->id.empty() ? ListJobs(context, *flags) : ShowJob(context, flags->id);
    });
  });
}

void AddWatch(CLI::App* app, CliContext* context) {
  auto id = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand("watch", "follow a job to its end");
  command->add_option("ID", *id, "the job")->required();
  command->footer(
      "Ctrl-C stops watching, not the job. Exits with 5 when the job failed, 6 when it was\n"
      "cancelled. With --json every change is one line: the Job message.\n"
      "Examples:\n  cytopress watch ID\n  cytopress --json watch ID | jq .progress.fraction");
  command->callback(
      [context, id] { context->set_command([context, id] { return FollowJob(context, *id); }); });
}

void AddCancel(CLI::App* app, CliContext* context) {
  auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app->add_subcommand("cancel", "stop jobs");
  command->add_option("ID", *ids, "the jobs")->required();
  command->footer(
      "A queued job is cancelled at once, a running one at its next step. A job that has ended\n"
      "cannot be cancelled. Of several, the others are cancelled all the same, and the first "
      "error\n"
      "decides the exit code.\nExamples:\n  cytopress cancel ID");
  command->callback([context, ids] {
    context->set_command([context, ids] { return CancelJobs(context, *ids); });
  });
}

}  // namespace

void AddJobCommands(CLI::App* app, CliContext* context) {
  AddList(app, context);
  AddWatch(app, context);
  AddCancel(app, context);
}

}  // namespace cytopress
