// sweep, report
#include "client/cli/report_commands.h"

#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/checks.h"
#include "client/cli/completion.h"
#include "client/cli/compress_request.h"
#include "client/cli/flag_names.h"
#include "client/cli/follow_job.h"
#include "client/cli/recipe_flags.h"
#include "client/names.h"
#include "client/report/report.h"
#include "client/report/source.h"
#include "core/base/file.h"
#include "core/base/pending_file.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr char kReport[] = "report.html";

struct SweepFlags {
  CompressFlags recipe;
  std::vector<double> sparsities = {0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98};
  std::vector<std::string> weights = {"fp16", "int8", "int4"};
  bool from_dense = false;
  std::string report = kReport;
  bool detach = false;
};

struct ReportFlags {
  std::vector<std::string> references;
  std::string output = kReport;
};

absl::StatusOr<v1::CompressRequest> BuildSweepRequest(const SweepFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(v1::CompressRequest request, BuildCompressRequest(flags.recipe));
  v1::JobSpec* spec = request.mutable_spec();
  for (const double sparsity : flags.sparsities) spec->mutable_sweep()->add_sparsities(sparsity);
  for (const std::string& weights : flags.weights) {
    spec->mutable_sweep()->add_weights(WeightTypesByName().at(weights));
  }
  spec->mutable_sweep()->set_from_dense(flags.from_dense);
  // A grid is there to show where accuracy is lost: a cell that loses it is shown, not refused,
  // unless a flag or a recipe of the user's own asks for that.
  v1::Recipe* recipe = spec->mutable_recipe();
  if (!flags.recipe.max_accuracy_drop.has_value() && flags.recipe.recipe_file.empty() &&
      recipe->on_collapse() != v1::COLLAPSE_POLICY_REPORT) {
    recipe->clear_max_accuracy_drop();
  }
  return request;
}

absl::Status WriteReport(CliContext* context, Client* client,
                         const std::vector<std::string>& references, const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ReportData data, CollectReport(client, references));
  const bool to_output = IsStandardOutput(path);
  // What goes to a pipe or device is the page alone.
  std::ostream& out = to_output || PathToReplace(path).empty() ? context->err() : context->out();
  if (to_output) {
    context->out() << RenderReport(data);
  } else {
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(path, RenderReport(data)));
  }
  int done = 0;
  for (const ReportCell& cell : data.cells) done += cell.model.has_value() ? 1 : 0;
  if (context->json()) {
    PrintJsonLine(Json{{"report", path}, {"models", done}, {"cells", data.cells.size()}}, &out);
  } else {
    out << "report: " << path << ", " << done << " of " << data.cells.size() << " models\n";
  }
  return absl::OkStatus();
}

// Before anything is sent. How the job goes is printed where the page would go.
absl::Status CheckReport(const std::string& path) {
  if (!IsStandardOutput(path)) return CheckWritable(path);
  return absl::InvalidArgumentError(
      absl::StrCat("--report: ", path,
                   " is where the sweep says how it goes; name a file, or give --detach and "
                   "write the page with `cytopress report ID -o -`"));
}

// Of a job that has ended: what it has made is there, and the report can be written at any time.
void PrintNoReport(CliContext* context, const absl::Status& why, const std::string& job_id) {
  const std::string message = absl::StrCat("the report is not written: ", why.message());
  const std::string hint = absl::StrCat("Write it with: cytopress report ", job_id);
  if (context->json()) {
    Json json;
    json["error"]["code"] = absl::StatusCodeToString(why.code());
    json["error"]["message"] = message;
    json["error"]["hint"] = hint;
    PrintJsonLine(json, &context->err());
    return;
  }
  context->err() << "cytopress: " << Printable(message) << "\n  " << hint << '\n';
}

// What writes the page later, to where it was asked for.
std::string ReportCommand(const std::string& job_id, const SweepFlags& flags) {
  return absl::StrCat("cytopress report ", job_id,
                      flags.report == kReport ? "" : absl::StrCat(" -o ", Quoted(flags.report)));
}

absl::StatusOr<ExitCode> Sweep(CliContext* context, const SweepFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::CompressRequest request, BuildSweepRequest(flags));
  if (!flags.detach) CYTOPRESS_RETURN_IF_ERROR(CheckReport(flags.report));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, Submit(client, request, flags.recipe));
  if (flags.detach) {
    PrintQueued(context, job, ReportCommand(job.id(), flags));
    return ExitCode::kOk;
  }
  if (!context->json()) context->out() << "job " << job.id() << std::endl;
  CYTOPRESS_ASSIGN_OR_RETURN(
      ExitCode code,
      FollowJob(context, job.id(),
                absl::StrCat("  its report:      ", ReportCommand(job.id(), flags), "\n")));
  // Also of a job that failed or was cancelled: what is done is done.
  const absl::Status written = WriteReport(context, client, {job.id()}, flags.report);
  if (written.ok()) return code;
  PrintNoReport(context, written, job.id());
  return code == ExitCode::kOk ? ExitCodeOf(written) : code;
}

absl::StatusOr<ExitCode> Report(CliContext* context, const ReportFlags& flags) {
  if (!IsStandardOutput(flags.output)) CYTOPRESS_RETURN_IF_ERROR(CheckWritable(flags.output));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_RETURN_IF_ERROR(WriteReport(context, client, flags.references, flags.output));
  return ExitCode::kOk;
}

void AddSweep(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<SweepFlags>();
  flags->recipe.sweeps = true;
  CLI::App* command = app->add_subcommand(
      "sweep", "a grid of sparsities and weight types as one job, and a report of it");
  command
      ->add_option("--name", flags->recipe.name,
                   "models are called NAME-s80-int4, the dense parent NAME-dense")
      ->required();
  command->add_option("--sparsities", flags->sparsities, "shares of weights set to zero")
      ->delimiter(',')
      ->check(Share())
      ->capture_default_str();
  command->add_option("--weights", flags->weights, "how weights are stored")
      ->delimiter(',')
      ->transform(OneOf(WeightTypesByName()))
      ->capture_default_str();
  command->add_flag("--from-dense", flags->from_dense,
                    "prune each sparsity from the dense model, not from the sparsity before");
  command->add_option("--report", flags->report, "write the report here")
      ->type_name(kPath)
      ->capture_default_str();
  AddRecipeFlags(command, &flags->recipe);
  command->add_option("--request-id", flags->recipe.request_id,
                      "asking again with the same id answers with the same job");
  command->add_flag("--detach", flags->detach, "only queue the job");
  command->footer(
      "One dense parent and one fine-tuning a sparsity are shared by all. A sweep that is\n"
      "interrupted goes on where it was. Unlike in `compress`, a loss of accuracy is only "
      "reported\n"
      "unless --max-accuracy-drop or a recipe file with max_accuracy_drop is given.\n"
      "With --json: a line of the job at each change of it, then one of the report.\n"
      "Examples:\n  cytopress sweep --name blood --dataset bloodmnist.npz\n"
      "  cytopress sweep --name blood --base blood-dense@1 --dataset bloodmnist.npz --sparsities "
      "0.8,0.9\n      --weights int8,int4 --pattern block4 --report block4.html\n"
      "  cytopress sweep --name as-in-paper --dataset bloodmnist.npz --recipe paper --detach");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Sweep(context, *flags); });
  });
}

void AddReport(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = app->add_subcommand("report", "write report.html of a sweep or of models");
  command->add_option("JOB_OR_MODEL", flags->references, "ids of jobs, NAME or NAME@VERSION")
      ->required();
  command->add_option("-o,--output", flags->output, "where to write it; - = standard output")
      ->type_name(kPath)
      ->capture_default_str();
  command->footer(
      "One page without other files: Table 1, accuracy against size and latency, confusion, class\n"
      "distribution, certificate, ledger. Of a sweep that still runs, what is done so far.\n"
      "Examples:\n  cytopress report ID\n  cytopress report blood@1 blood-small@1 -o two.html");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Report(context, *flags); });
  });
}

}  // namespace

void AddReportCommands(CLI::App* app, CliContext* context) {
  AddSweep(app, context);
  AddReport(app, context);
}

}  // namespace cytopress
