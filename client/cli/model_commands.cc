// models, delete, download
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/amount_line.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/model_view.h"
#include "client/names.h"
#include "core/base/pending_file.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

struct ModelFlags {
  std::string model;
  std::string all_of;
  std::string output;
  std::string format;  // empty: by the output's ending
};

absl::StatusOr<std::vector<v1::Model>> FetchModels(Client* client, const std::string& name) {
  std::vector<v1::Model> models;
  v1::ListModelsRequest request;
  request.set_name(name);
  request.set_page_size(kPageSize);
  do {
    CYTOPRESS_ASSIGN_OR_RETURN(v1::ListModelsResponse page, client->ListModels(request));
    for (v1::Model& model : *page.mutable_models()) models.push_back(std::move(model));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return models;
}

absl::StatusOr<ExitCode> ListModels(CliContext* context, const ModelFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<v1::Model> models, FetchModels(client, flags.all_of));
  if (context->json()) {
    v1::ListModelsResponse response;
    for (v1::Model& model : models) *response.add_models() = std::move(model);
    PrintJson(ToJson(response), &context->out());
  } else if (models.empty()) {
    context->out() << (flags.all_of.empty()
                           ? "no model yet; make one with `cytopress compress`, or bring one with "
                             "`cytopress import`\n"
                           : absl::StrCat("no model is called ", Printable(flags.all_of),
                                          "; `cytopress models` lists all\n"));
  } else {
    PrintModelTable(models, &context->out(), context->console().most_columns());
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ShowModel(CliContext* context, const ModelFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(flags.model));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                             client->GetModel(version.name, version.version));
  if (context->json()) {
    PrintJson(ToJson(model), &context->out());
  } else {
    PrintModelDetails(model, &context->out(), context->console().most_columns());
  }
  return ExitCode::kOk;
}

absl::StatusOr<ModelVersion> VersionToDelete(const std::string& model) {
  CYTOPRESS_ASSIGN_OR_RETURN(ModelVersion version, ParseModelVersion(model));
  if (version.version != 0) return version;
  return absl::InvalidArgumentError(absl::StrCat("delete needs the version: ", model,
                                                 "@1, for example (`cytopress models --name ",
                                                 model, "` lists them)"));
}

absl::Status Delete(CliContext* context, Client* client, const std::string& model) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, VersionToDelete(model));
  CYTOPRESS_RETURN_IF_ERROR(client->DeleteModel(version.name, version.version));
  if (context->json()) {
    PrintJsonLine(Json{{"deleted", model}}, &context->out());
  } else {
    context->out() << "deleted " << model << '\n';
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> DeleteAll(CliContext* context, const std::vector<std::string>& models) {
  // Before the first is gone.
  for (const std::string& model : models) {
    CYTOPRESS_RETURN_IF_ERROR(VersionToDelete(model).status());
  }
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  return ForEach(context, models, [context, client](const std::string& model) {
    return Delete(context, client, model);
  });
}

// What `download` writes: as asked, or as the file's name says.
v1::ModelFormat FormatOf(const ModelFlags& flags) {
  if (!flags.format.empty()) return ModelFormatsByName().at(flags.format);
  return absl::EndsWithIgnoreCase(flags.output, ".onnx") ? v1::MODEL_FORMAT_ONNX
                                                         : v1::MODEL_FORMAT_CYTOPRESS;
}

absl::StatusOr<DownloadedModel> Receive(CliContext* context, Client* client,
                                        const ModelVersion& version, const std::string& path,
                                        v1::ModelFormat format) {
  AmountLine line(context->console(), "receiving", AmountLine::Bytes());
  return client->DownloadModel(version.name, version.version, path, format,
                               [&line](int64_t bytes, int64_t total) { line.Show(bytes, total); });
}

absl::StatusOr<ExitCode> Download(CliContext* context, const ModelFlags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(flags.model));
  const bool to_output = IsStandardOutput(flags.output);
  const std::string path = to_output ? kStandardOutput : flags.output;
  if (!to_output) CYTOPRESS_RETURN_IF_ERROR(CheckWritable(path));
  CYTOPRESS_ASSIGN_OR_RETURN(Client* const client, context->client());
  // What goes to a pipe or device is the model alone.
  std::ostream& out = to_output || PathToReplace(path).empty() ? context->err() : context->out();
  CYTOPRESS_ASSIGN_OR_RETURN(const DownloadedModel file,
                             Receive(context, client, version, path, FormatOf(flags)));
  if (context->json()) {
    PrintJson(ToJson(file.model), &out);
  } else {
    out << file.model.name() << "@" << file.model.version() << " -> " << flags.output << "  "
        << FormatBytes(file.file_bytes) << ", sha256 " << file.file_sha256 << " verified\n";
  }
  return ExitCode::kOk;
}

void AddList(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = app->add_subcommand("models", "list models, or show one");
  CLI::Option* model =
      command->add_option("MODEL", flags->model, "NAME or NAME@VERSION: show it in full");
  command->add_option("--name", flags->all_of, "list only the versions of this name")
      ->excludes(model);
  command->footer(
      "ACC and AUC are those of the file that is served, on the split in the column `split`; ± is\n"
      "half of the 95 % interval of ACC, in points. On a narrow terminal the list has the more\n"
      "important columns only; `cytopress models | cat` has all.\n"
      "Examples:\n  cytopress models\n  cytopress models blood@2\n  cytopress --json models blood");
  command->callback([context, flags] {
    context->set_command([context, flags] {
      return flags->model.empty() ? ListModels(context, *flags) : ShowModel(context, *flags);
    });
  });
}

void AddDelete(CLI::App* app, CliContext* context) {
  auto models = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app->add_subcommand("delete", "delete versions of models");
  command->add_option("MODEL", *models, "NAME@VERSION")->required();
  command->footer(
      "The version number is not used again. Refused while an unfinished job needs the model. Of\n"
      "several, the others are deleted all the same, and the first error decides the exit code.\n"
      "Examples:\n  cytopress delete blood@1\n  cytopress delete fit-try1@1 fit-try2@1");
  command->callback([context, models] {
    context->set_command([context, models] { return DeleteAll(context, *models); });
  });
}

void AddDownload(CLI::App* app, CliContext* context) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = app->add_subcommand("download", "save a model's file");
  command->add_option("MODEL", flags->model, "NAME (its newest version) or NAME@VERSION")
      ->required();
  command->add_option("-o,--output", flags->output, "where to write it; - = standard output")
      ->type_name(kPath)
      ->required();
  command
      ->add_option("--format", flags->format,
                   "cyp: the file as it is; onnx: converted for ONNX Runtime and its like; "
                   "default: onnx for an output that ends in .onnx, else cyp")
      ->transform(OneOf(ModelFormatsByName()));
  command->footer(
      "The file appears whole and with its SHA-256 verified, or not at all; a pipe gets the bytes\n"
      "as they come, and exit code 0 says that they were right.\n"
      "An ONNX model takes `image`, uint8 [N, height, width, channels], and answers with\n"
      "`probabilities`, float [N, classes]; its metadata names the classes.\n"
      "Examples:\n  cytopress download blood@2 -o blood.cyp\n"
      "  cytopress download blood@2 -o blood.onnx");
  command->callback([context, flags] {
    context->set_command([context, flags] { return Download(context, *flags); });
  });
}

}  // namespace

void AddModelCommands(CLI::App* app, CliContext* context) {
  AddList(app, context);
  AddDelete(app, context);
  AddDownload(app, context);
}

}  // namespace cytopress
