#include "client/report/source.h"

#include <google/protobuf/util/json_util.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/report_judgement.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/dataset/dataset.h"
#include "core/jobs/job_state.h"
#include "core/jobs/model_names.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// The official bloodmnist.npz (28 px) of Zenodo record 10519652.
constexpr char kBloodMnistMd5[] = "7053d0359d879ad8a5505303e11de1dc";
constexpr int64_t kMaxDatasetBytes = int64_t{1} << 30;
constexpr char kOpen[] = "open";
constexpr char kDeleted[] = "deleted";

absl::StatusOr<v1::Model> GetModel(Client* client, const std::string& reference) {
  ModelVersion version;
  CYTOPRESS_ASSIGN_OR_RETURN(version, ParseModelVersion(reference));
  return client->GetModel(version.name, version.version);
}

std::string WhyMissing(const v1::Job& job, const std::string& name) {
  for (const v1::LedgerEntry& entry : job.ledger()) {
    if (entry.stage() != name) continue;
    return entry.published().empty() ? "not published" : kDeleted;
  }
  return IsTerminal(job.state()) ? "not made" : kOpen;
}

// Lines of earlier releases have only the stage's name.
bool IsQuantization(const v1::LedgerEntry& line) {
  return line.kind() == v1::STAGE_KIND_UNSPECIFIED ? line.stage() == "quantize"
                                                   : line.kind() == v1::STAGE_KIND_QUANTIZE;
}

// Rounding to INT4 adds zeros, which are not pruned; without a ledger they are counted.
double ZerosBeforeRounding(const v1::Model& model) {
  for (int i = 1; i < model.ledger_size(); ++i) {
    if (IsQuantization(model.ledger(i))) return model.ledger(i - 1).sparsity();
  }
  return model.size().sparsity();
}

ReportCell CellOf(v1::Model model) {
  ReportCell cell;
  cell.sparsity = AskedSparsity(model);
  cell.weights = model.weights();
  cell.name = model.name();
  cell.model = std::move(model);
  return cell;
}

// A report without its dense parent is still a report: one that is not there, is damaged, or goes
// by no model's name, is left out.
absl::Status FindDense(Client* client, ReportData* data) {
  std::vector<std::string> references;
  for (const v1::Job& job : data->jobs) {
    references.push_back(job.parent_model());
    references.push_back(job.spec().base_model());
  }
  for (const ReportCell& cell : data->cells) {
    if (!cell.model.has_value()) continue;
    references.push_back(cell.model->certificate().parent());
    references.push_back(cell.model->provenance().parent());
  }
  std::string last;
  for (const std::string& reference : references) {
    if (reference.empty() || reference == last) continue;
    last = reference;
    absl::StatusOr<v1::Model> model = GetModel(client, reference);
    // Another try may find it.
    if (absl::IsUnavailable(model.status()) || absl::IsDeadlineExceeded(model.status()) ||
        absl::IsCancelled(model.status())) {
      return model.status();
    }
    if (!model.ok()) continue;
    data->dense = *std::move(model);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

// The test and the validation split have been counted when they were scored.
std::vector<SplitCounts> SplitsOfScores(const v1::Model& model) {
  std::vector<SplitCounts> splits;
  for (const v1::Evaluation& evaluation : model.evaluations()) {
    const int classes = model.class_names_size();
    if (evaluation.confusion_size() != classes * classes) continue;
    SplitCounts split{evaluation.split(), std::vector<int64_t>(classes)};
    for (int i = 0; i < classes * classes; ++i)
      split.images[i / classes] += evaluation.confusion(i);
    splits.push_back(std::move(split));
  }
  return splits;
}

std::string Md5OfFile(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadFile(path, kMaxDatasetBytes);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (!bytes.ok() ||
      EVP_Digest(bytes->data(), bytes->size(), digest, &size, EVP_md5(), nullptr) != 1) {
    return "";
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

// The data set of the models, if it can be read here and is still what they were made from.
void DescribeData(const v1::Model& model, ReportData* data) {
  data->class_names.assign(model.class_names().begin(), model.class_names().end());
  data->splits = SplitsOfScores(model);
  const v1::DatasetSource& source = model.provenance().spec().dataset();
  std::error_code error;
  const bool is_file = std::filesystem::is_regular_file(source.uri(), error);
  if (!model.provenance().synthetic_data() && !std::filesystem::exists(source.uri(), error)) return;
  DatasetOptions options;
  options.seed = source.seed();
  options.class_names.assign(source.class_names().begin(), source.class_names().end());
  options.folder_preprocessing = FromProto(model.preprocessing());
  const absl::StatusOr<Dataset> dataset = LoadDataset(source.uri(), options);
  if (!dataset.ok() || dataset->content_hash != model.provenance().dataset_hash()) return;
  // A job numbers the classes as its base model does.
  if (dataset->class_names != data->class_names) return;
  data->splits = CountSplits(*dataset);
  data->identity = is_file && Md5OfFile(source.uri()) == kBloodMnistMd5 ? DataIdentity::kOfficial
                                                                        : DataIdentity::kOther;
}

std::string SweepCommand(const v1::Job& job, const std::string& recipe_file) {
  const v1::JobSpec& spec = job.spec();
  const auto number = [](std::string* out, double value) {
    absl::StrAppendFormat(out, "%g", value);
  };
  const auto type = [](std::string* out, int weights) {
    out->append(NameOf(static_cast<v1::WeightType>(weights)));
  };
  std::string command =
      absl::StrCat("cytopress sweep --name ", Quoted(spec.model_name()), " --dataset ",
                   Quoted(spec.dataset().uri()), " --recipe-file ", Quoted(recipe_file),
                   " --sparsities ", absl::StrJoin(spec.sweep().sparsities(), ",", number),
                   " --weights ", absl::StrJoin(spec.sweep().weights(), ",", type));
  const auto add = [&command](absl::string_view flag, const std::string& value) {
    if (!value.empty()) absl::StrAppend(&command, " ", flag, " ", Quoted(value));
  };
  if (spec.sweep().from_dense()) command += " --from-dense";
  add("--base", spec.base_model().empty() || job.parent_model().empty() ? spec.base_model()
                                                                        : job.parent_model());
  add("--architecture", spec.network().architecture());
  if (spec.network().stem() != v1::STEM_UNSPECIFIED) {
    add("--stem", NameOf(spec.network().stem()));
  }
  if (spec.network().input_height() > 0) {
    add("--image-size", absl::StrCat(spec.network().input_height()));
  }
  add("--class-names", absl::StrJoin(spec.dataset().class_names(), ","));
  if (spec.dataset().seed() != 0) add("--dataset-seed", absl::StrCat(spec.dataset().seed()));
  add("--device", spec.device());
  return command;
}

void AddCommands(ReportData* data) {
  const ReportCell* best = SmallestLossless(*data);
  for (const ReportCell& cell : data->cells) {
    if (best == nullptr && cell.model.has_value()) best = &cell;
  }
  if (best != nullptr) {
    data->commands.push_back("cytopress reproduce " + ToString(*best->model));
  }
  for (const v1::Job& job : data->jobs) {
    if (!job.spec().has_sweep()) continue;
    ReportRecipe recipe;
    recipe.file = absl::StrCat("recipe-", job.spec().model_name(), ".json");
    if (std::any_of(data->recipes.begin(), data->recipes.end(),
                    [&](const ReportRecipe& other) { return other.file == recipe.file; })) {
      recipe.file = absl::StrCat("recipe-", job.id(), ".json");
    }
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    // Fails only for an Any of an unknown type, of which there is none here.
    (void)google::protobuf::util::MessageToJsonString(job.spec().recipe(), &recipe.json, options);
    data->commands.push_back(SweepCommand(job, recipe.file));
    data->recipes.push_back(std::move(recipe));
  }
}

// "blood" and "blood@1" may be the same.
void RemoveRepeated(std::vector<ReportCell>* cells) {
  std::set<std::string> seen;
  const auto is_repeated = [&seen](const ReportCell& cell) {
    return cell.model.has_value() && !seen.insert(ToString(*cell.model)).second;
  };
  cells->erase(std::remove_if(cells->begin(), cells->end(), is_repeated), cells->end());
}

// The name of the first job or, of models alone, as many names as a title has room for.
std::string TitleOf(const std::vector<std::string>& references, const ReportData& data) {
  constexpr size_t kMaxNames = 3;
  if (!data.jobs.empty()) return data.jobs[0].spec().model_name();
  if (references.size() <= kMaxNames) return absl::StrJoin(references, ", ");
  return absl::StrCat(references[0], " and ", references.size() - 1, " more models");
}

}  // namespace

absl::StatusOr<std::optional<v1::Model>> FindModel(Client* client, const std::string& name,
                                                   const std::string& job_id) {
  v1::ListModelsRequest request;
  request.set_name(name);
  do {
    v1::ListModelsResponse page;
    CYTOPRESS_ASSIGN_OR_RETURN(page, client->ListModels(request));
    for (v1::Model& model : *page.mutable_models()) {
      if (model.name() == name && model.provenance().job_id() == job_id) {
        return std::optional<v1::Model>(std::move(model));
      }
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return std::optional<v1::Model>();
}

double AskedSparsity(const v1::Model& model) {
  const v1::JobSpec& spec = model.provenance().spec();
  for (const double sparsity : spec.sweep().sparsities()) {
    if (SweepModelName(spec.model_name(), sparsity, model.weights()) == model.name()) {
      return sparsity;
    }
  }
  if (model.name() == ParentModelName(spec.model_name())) return 0;
  const double asked = spec.recipe().prune().sparsity();
  if (asked > 0 && model.name() == spec.model_name()) return asked;
  // Chosen by a search, there in the base already, or the model goes by another name here.
  return std::round(100 * ZerosBeforeRounding(model)) / 100;
}

// Of a job for one model.
absl::StatusOr<ReportCell> CollectCell(Client* client, const v1::Job& job) {
  const v1::JobSpec& spec = job.spec();
  ReportCell cell{spec.recipe().prune().sparsity(), spec.recipe().quantize().weights(),
                  spec.model_name(), std::nullopt, WhyMissing(job, spec.model_name())};
  if (job.model().empty()) return cell;
  absl::StatusOr<v1::Model> model = GetModel(client, job.model());
  if (!model.ok() && !absl::IsNotFound(model.status())) return model.status();
  if (model.ok()) return CellOf(*std::move(model));
  cell.missing = kDeleted;
  return cell;
}

// What a search has published: the model that it chose, and its tries, which are the Pareto front.
absl::StatusOr<std::vector<ReportCell>> CollectTries(Client* client, const v1::Job& job) {
  std::vector<ReportCell> cells;
  std::string chosen;  // the digest of its file
  CYTOPRESS_ASSIGN_OR_RETURN(ReportCell best, CollectCell(client, job));
  if (best.model.has_value()) {
    chosen = best.model->sha256();
    cells.push_back(std::move(best));
  }
  for (int i = 1; i <= job.spec().goal().max_tries(); ++i) {
    const std::string name = GoalTryName(job.spec().model_name(), i);
    CYTOPRESS_ASSIGN_OR_RETURN(std::optional<v1::Model> model, FindModel(client, name, job.id()));
    if (model.has_value() && model->sha256() != chosen) cells.push_back(CellOf(*std::move(model)));
  }
  return cells;
}

absl::StatusOr<std::vector<ReportCell>> CollectCells(Client* client, const v1::Job& job) {
  std::vector<ReportCell> cells;
  const v1::JobSpec& spec = job.spec();
  if (spec.has_goal()) return CollectTries(client, job);
  if (!spec.has_sweep()) {
    CYTOPRESS_ASSIGN_OR_RETURN(ReportCell cell, CollectCell(client, job));
    cells.push_back(std::move(cell));
    return cells;
  }
  std::vector<double> sparsities(spec.sweep().sparsities().begin(),
                                 spec.sweep().sparsities().end());
  std::sort(sparsities.begin(), sparsities.end());
  for (const double sparsity : sparsities) {
    for (const int number : spec.sweep().weights()) {
      ReportCell cell;
      cell.sparsity = sparsity;
      cell.weights = static_cast<v1::WeightType>(number);
      cell.name = SweepModelName(spec.model_name(), sparsity, cell.weights);
      CYTOPRESS_ASSIGN_OR_RETURN(cell.model, FindModel(client, cell.name, job.id()));
      if (!cell.model.has_value()) cell.missing = WhyMissing(job, cell.name);
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

absl::StatusOr<ReportData> CollectReport(Client* client,
                                         const std::vector<std::string>& references) {
  ReportData data;
  for (const std::string& reference : references) {
    absl::StatusOr<v1::Job> job = absl::NotFoundError("");
    if (!absl::StrContains(reference, '@')) job = client->GetJob(reference);
    if (!job.ok() && !absl::IsNotFound(job.status())) return job.status();
    if (!job.ok()) {
      absl::StatusOr<v1::Model> model = GetModel(client, reference);
      if (absl::IsNotFound(model.status()) || absl::IsInvalidArgument(model.status())) {
        return absl::NotFoundError(
            absl::StrCat("\"", reference,
                         "\" is neither a job (`cytopress jobs`) nor a model "
                         "(`cytopress models`)"));
      }
      CYTOPRESS_RETURN_IF_ERROR(model.status());
      data.cells.push_back(CellOf(*std::move(model)));
      continue;
    }
    const bool again = std::any_of(data.jobs.begin(), data.jobs.end(),
                                   [&job](const v1::Job& j) { return j.id() == job->id(); });
    if (again) continue;
    std::vector<ReportCell> cells;
    CYTOPRESS_ASSIGN_OR_RETURN(cells, CollectCells(client, *job));
    std::move(cells.begin(), cells.end(), std::back_inserter(data.cells));
    data.jobs.push_back(*std::move(job));
  }
  RemoveRepeated(&data.cells);
  data.title = TitleOf(references, data);
  data.made = absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::Now(), absl::UTCTimeZone());
  CYTOPRESS_RETURN_IF_ERROR(FindDense(client, &data));
  if (const v1::Model* model = AnyModel(data)) DescribeData(*model, &data);
  AddCommands(&data);
  return data;
}

}  // namespace cytopress
