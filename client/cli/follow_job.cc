#include "client/cli/follow_job.h"

#include "absl/strings/str_cat.h"
#include "client/cli/flag_names.h"
#include "client/cli/interrupt_note.h"
#include "client/cli/job_printer.h"
#include "client/cli/model_view.h"
#include "client/report/source.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

ExitCode EndOf(const v1::Job& job) {
  switch (job.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return ExitCode::kOk;
    case v1::JOB_STATE_CANCELLED:
      return ExitCode::kJobCancelled;
    default:
      return ExitCode::kJobFailed;
  }
}

void PrintModel(CliContext* context, Client* client, const v1::Job& job) {
  context->out() << "\njob " << job.id() << " has made " << job.model() << '\n';
  const absl::StatusOr<ModelVersion> version = ParseModelVersion(job.model());
  if (!version.ok()) return;
  const absl::StatusOr<v1::Model> model = client->GetModel(version->name, version->version);
  if (!model.ok()) {
    context->out() << "(it cannot be shown: " << Printable(model.status().message()) << ")\n";
    return;
  }
  PrintModelSummary(*model, &context->out());
  PrintLosses(*model, &context->out());
  context->out() << "\nClassify with it:  cytopress classify --model " << job.model()
                 << " IMAGE...\n";
}

// The models of a sweep, a line each.
void PrintSweep(CliContext* context, Client* client, const v1::Job& job) {
  const absl::StatusOr<std::vector<ReportCell>> cells = CollectCells(client, job);
  if (!cells.ok()) {
    context->out() << "(the models cannot be shown: " << Printable(cells.status().message())
                   << ")\n";
    return;
  }
  std::vector<v1::Model> models;
  for (const ReportCell& cell : *cells) {
    if (cell.model.has_value()) models.push_back(*cell.model);
  }
  context->out() << "\njob " << job.id() << " has made " << models.size() << " of " << cells->size()
                 << " models\n";
  PrintModelTable(models, &context->out(), context->console().most_columns());
  for (const ReportCell& cell : *cells) {
    if (!cell.model.has_value()) context->out() << cell.name << ": " << cell.missing << '\n';
  }
}

void PrintEnd(CliContext* context, Client* client, const v1::Job& job) {
  if (job.spec().has_sweep() && job.state() == v1::JOB_STATE_SUCCEEDED) {
    PrintSweep(context, client, job);
  } else if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    PrintModel(context, client, job);
  } else if (job.state() == v1::JOB_STATE_CANCELLED) {
    context->out() << "job " << job.id() << " was cancelled\n";
  } else {
    context->err() << "cytopress: job " << job.id()
                   << " failed: " << Printable(InWordsOfFlags(job.error())) << '\n';
  }
}

absl::StatusOr<v1::Job> WatchAsJson(CliContext* context, Client* client, const std::string& id) {
  return client->WatchJob(id, [context](const v1::Job& job) {
    PrintJsonLine(ToJson(job), &context->out());
    return true;
  });
}

absl::StatusOr<v1::Job> WatchAsText(CliContext* context, Client* client, const std::string& id) {
  JobPrinter printer(context->console());
  WatchOptions options;
  bool connected = true;
  options.on_disconnect = [&](const absl::Status& why) {
    if (connected)
      printer.Note("connection lost; the job goes on, trying to reach the service ...");
    connected = false;
  };
  return client->WatchJob(
      id,
      [&](const v1::Job& job) {
        if (!connected) printer.Note("connected again");
        connected = true;
        printer.Show(job);
        return true;
      },
      options);
}

}  // namespace

void PrintQueued(CliContext* context, const v1::Job& job, const std::string& report) {
  if (context->json()) return PrintJson(ToJson(job), &context->out());
  std::ostream& out = context->out();
  out << "job " << job.id() << " is queued; follow it with: cytopress watch " << job.id() << '\n';
  if (!report.empty()) out << "and write its report with: " << report << '\n';
  if (!job.waiting_reason().empty()) out << "waiting: " << Printable(job.waiting_reason()) << '\n';
}

absl::StatusOr<ExitCode> FollowJob(CliContext* context, const std::string& id,
                                   const std::string& what_follows) {
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  const InterruptNote note(
      absl::StrCat("\nThe job goes on without this window.\n  watch it again:  cytopress watch ",
                   id, "\n  stop it:         cytopress cancel ", id, "\n", what_follows));
  v1::Job job;
  if (context->json()) {
    CYTOPRESS_ASSIGN_OR_RETURN(job, WatchAsJson(context, client, id));
  } else {
    CYTOPRESS_ASSIGN_OR_RETURN(job, WatchAsText(context, client, id));
    PrintEnd(context, client, job);
  }
  return EndOf(job);
}

}  // namespace cytopress
