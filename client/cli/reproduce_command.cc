// reproduce
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/checks.h"
#include "client/cli/completion.h"
#include "client/cli/compress_request.h"
#include "client/cli/follow_job.h"
#include "client/cli/interrupt_note.h"
#include "client/cli/report_commands.h"
#include "client/cli/reproduction.h"
#include "client/report/source.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/dataset/synthetic_uri.h"
#include "core/jobs/job_state.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

struct ReproduceFlags {
  std::string model;
  std::string name;     // empty: the model's with "-reproduced"
  std::string dataset;  // empty: where the receipt found it
  std::string device;
  double tolerance = 0.01;
  bool detach = false;
};

// Where the data can be read on this machine it must be what the receipt says; elsewhere the
// comparison at the end finds out.
absl::Status CheckData(const v1::Model& model, const v1::DatasetSource& source) {
  std::error_code error;
  if (!IsSynthetic(source.uri()) && !std::filesystem::exists(source.uri(), error))
    return absl::OkStatus();
  DatasetOptions options;
  options.seed = source.seed();
  options.folder_preprocessing = FromProto(model.preprocessing());
  options.class_names.assign(source.class_names().begin(), source.class_names().end());
  CYTOPRESS_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset(source.uri(), options));
  if (dataset.content_hash == model.provenance().dataset_hash()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(source.uri(), " is not the data that ", ToString(model),
                   " was made from: its content hash is ", dataset.content_hash,
                   ", the receipt's is ", model.provenance().dataset_hash(),
                   ". Nothing was started; name the right data with "
                   "--dataset"));
}

absl::StatusOr<StoredModel> Fetch(Client* client, const std::string& name, int64_t version) {
  std::error_code error;
  std::string folder = (std::filesystem::temp_directory_path(error) / "cytopress-XXXXXX").string();
  if (error || mkdtemp(folder.data()) == nullptr) {
    return absl::FailedPreconditionError(
        "there is no temporary folder to write to; name one with TMPDIR");
  }
  const std::string path = folder + "/model.cyp";
  StoredModel stored;
  absl::StatusOr<DownloadedModel> downloaded = client->DownloadModel(name, version, path);
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxArtifactFileBytes);
  std::filesystem::remove_all(folder, error);
  CYTOPRESS_RETURN_IF_ERROR(downloaded.status());
  CYTOPRESS_RETURN_IF_ERROR(bytes.status());
  stored.model = std::move(downloaded->model);
  CYTOPRESS_ASSIGN_OR_RETURN(stored.artifact, ParseArtifact(*bytes));
  return stored;
}

void PrintComparison(const StoredModel& original, const StoredModel& reproduced,
                     const ComparedModels& compared, CliContext* context) {
  if (context->json()) {
    Json json;
    json["equal"] = compared.equal;
    json["same_bits"] = compared.same_bits;
    json["same_environment"] = compared.same_environment;
    json["verdict"] = compared.verdict;
    for (const ComparedItem& item : compared.items) {
      json["items"].push_back({{"name", item.name},
                               {"original", item.original},
                               {"reproduced", item.reproduced},
                               {"same", item.same}});
    }
    PrintJsonLine(json, &context->out());
    return;
  }
  context->out() << '\n';
  Table table({"", ToString(original.model), ToString(reproduced.model), ""});
  for (const ComparedItem& item : compared.items) {
    table.AddRow({item.name, item.original, item.reproduced, item.same ? "same" : "DIFFERS"});
  }
  table.Print(&context->out());
  context->out() << '\n' << compared.verdict << '\n';
}

// Says of a ready-made model why it cannot be made again.
absl::StatusOr<Reproduction> PlanReproductionOf(Client* client, const v1::Model& model,
                                                const std::string& name) {
  absl::StatusOr<Reproduction> plan = PlanReproduction(model, name);
  const std::string& job = model.provenance().job_id();
  if (plan.ok() || job.empty() || !absl::IsNotFound(client->GetJob(job).status())) return plan;
  return absl::FailedPreconditionError(
      absl::StrCat(plan.status().message(), ": the job that trained it, ", job,
                   ", is not on this server. Ready-made models cannot be reproduced from here"));
}

// The same for the same work, so that a call finds the job of an earlier one that was interrupted.
// `spent`: the last of the jobs that it is not to find; empty where there is none.
std::string RequestId(const v1::Model& original, const Reproduction& plan,
                      const std::string& spent) {
  std::string spec;
  google::protobuf::io::StringOutputStream stream(&spec);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  plan.spec.SerializeToCodedStream(&coded);
  coded.Trim();
  const std::string work =
      absl::StrCat(original.sha256(), "\n", plan.model_name, "\n", spent, "\n", spec);
  return absl::StrCat("reproduce-", Sha256Hex(work));
}

// Whether the job has ended and there is no model of it to compare.
absl::StatusOr<bool> IsSpent(Client* client, const Reproduction& plan, const v1::Job& job) {
  if (!IsTerminal(job.state())) return false;
  const bool may_have_made_it = job.state() == v1::JOB_STATE_SUCCEEDED ||
                                (plan.job_may_fail && job.state() == v1::JOB_STATE_FAILED);
  if (!may_have_made_it) return true;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> made,
                             FindModel(client, plan.model_name, job.id()));
  return !made.has_value();
}

// The job of an earlier call for the same work, if it goes on or its model is there; else a new
// one.
absl::StatusOr<v1::Job> FindOrSubmit(CliContext* context, Client* client, const v1::Model& original,
                                     const Reproduction& plan) {
  v1::CompressRequest request;
  *request.mutable_spec() = plan.spec;
  std::string spent;
  while (true) {
    request.set_request_id(RequestId(original, plan, spent));
    absl::StatusOr<v1::Job> job = client->Compress(request);
    if (absl::IsAlreadyExists(job.status())) {
      return absl::AlreadyExistsError(
          absl::StrCat("the server's defaults have changed since the earlier call (",
                       job.status().message(), "): name another model with --name"));
    }
    CYTOPRESS_RETURN_IF_ERROR(job.status());
    CYTOPRESS_ASSIGN_OR_RETURN(const bool is_spent, IsSpent(client, plan, *job));
    if (!is_spent) return job;
    spent = job->id();
    if (!context->json()) {
      context->out() << "job " << spent << " of an earlier call has left no " << plan.model_name
                     << (job->error().empty() ? "" : ": ") << Printable(job->error())
                     << "; another follows\n";
    }
  }
}

void PrintJob(const v1::Job& job, const Reproduction& plan, const std::string& original,
              std::ostream* out) {
  *out << "job " << job.id();
  if (IsTerminal(job.state())) {
    *out << " of an earlier call has made " << original << " again as " << plan.model_name
         << "; another --name makes it anew" << std::endl;
    return;
  }
  *out << " makes " << original << " again as " << plan.model_name
       << "; after an interrupt the same command finds it and goes on to the comparison"
       << std::endl;
}

// For --detach. The version is named: another may be the newest by the time of the comparison.
void PrintDetached(CliContext* context, const v1::Job& job, const Reproduction& plan,
                   const std::string& original) {
  if (context->json()) return PrintJson(ToJson(job), &context->out());
  std::ostream& out = context->out();
  out << "job " << job.id();
  if (IsTerminal(job.state())) {
    out << " of an earlier call has made " << original << " again as " << plan.model_name << '\n';
  } else {
    out << " makes " << original << " again as " << plan.model_name
        << "; follow it with: cytopress watch " << job.id() << '\n';
  }
  out << "compare it with: cytopress reproduce " << original
      << " and the same flags without --detach, which finds the job\n";
  if (!job.waiting_reason().empty()) out << "waiting: " << Printable(job.waiting_reason()) << '\n';
}

absl::StatusOr<ExitCode> Reproduce(CliContext* context, const ReproduceFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(flags.model));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                             client->GetModel(version.name, version.version));
  Reproduction plan;
  CYTOPRESS_ASSIGN_OR_RETURN(
      plan, PlanReproductionOf(client, model,
                               flags.name.empty() ? model.name() + "-reproduced" : flags.name));
  if (!flags.dataset.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(*plan.spec.mutable_dataset()->mutable_uri(),
                               AbsoluteDataset(flags.dataset));
  }
  if (plan.spec.device().empty()) plan.spec.set_device(model.provenance().device());
  if (!flags.device.empty()) plan.spec.set_device(flags.device);
  CYTOPRESS_RETURN_IF_ERROR(CheckData(model, plan.spec.dataset()));
  CYTOPRESS_ASSIGN_OR_RETURN(const StoredModel original,
                             Fetch(client, model.name(), model.version()));
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, FindOrSubmit(context, client, model, plan));
  if (flags.detach) {
    PrintDetached(context, job, plan, ToString(original.model));
    return ExitCode::kOk;
  }
  if (!context->json()) PrintJob(job, plan, flags.model, &context->out());
  CYTOPRESS_ASSIGN_OR_RETURN(
      ExitCode code, FollowJob(context, job.id(),
                               "  compare it:      the same command, which finds the job again\n"));
  if (code != ExitCode::kOk && !(plan.job_may_fail && code == ExitCode::kJobFailed)) return code;
  const InterruptNote note(absl::StrCat("\nThe same command finds job ", job.id(),
                                        " again and goes on to the comparison.\n"));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> made,
                             FindModel(client, plan.model_name, job.id()));
  if (!made.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("job ", job.id(), " has published no ", plan.model_name));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const StoredModel reproduced,
                             Fetch(client, made->name(), made->version()));
  const ComparedModels compared = CompareModels(original, reproduced, flags.tolerance);
  PrintComparison(original, reproduced, compared, context);
  return compared.equal ? ExitCode::kOk : ExitCode::kFailed;
}

}  // namespace

void AddReproduceCommand(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ReproduceFlags>();
  CLI::App* command =
      app->add_subcommand("reproduce", "make a model again from its receipt, and compare");
  command->add_option("MODEL", flags->model, "NAME or NAME@VERSION")->required();
  command->add_option("--name", flags->name, "publish it under this name; NAME-reproduced if not");
  command
      ->add_option("--dataset", flags->dataset,
                   "where the same data are now, on the worker's machine")
      ->type_name(kPath);
  command->add_option("--device", flags->device, "cpu or cuda:N; default: as in the receipt");
  command
      ->add_option("--tolerance", flags->tolerance,
                   "of test ACC and AUC where processor, threads or libraries differ")
      ->check(NotNegative())
      ->capture_default_str();
  command->add_flag("--detach", flags->detach,
                    "only queue the job; the same command without it compares");
  command->footer(
      "The receipt is in the model's file: data hash, recipe, seed, parent, processor, threads "
      "and\n"
      "library versions. Where the last three are the same, every bit must be; exits with 1 when\n"
      "the result is not equal. With --json: a line of the job at each change of it, then one of\n"
      "the comparison.\n"
      "The same command finds its job again, so that after an interrupt it goes on to the\n"
      "comparison. Where the job failed or was cancelled, or its model was deleted, another job\n"
      "follows; one that has succeeded is made anew under another --name.\n"
      "Examples:\n  cytopress reproduce blood@1\n"
      "  cytopress reproduce blood-s80-int4 --dataset /data/bloodmnist.npz --name again\n"
      "  cytopress reproduce blood@1 --detach");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Reproduce(context, *flags); });
  });
}

}  // namespace cytopress
