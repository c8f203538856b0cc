#include "server/model_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/model_names.h"
#include "core/serving/error_details.h"
#include "server/download_reactor.h"
#include "server/paging.h"
#include "server/upload_reactor.h"

namespace cytopress {
namespace {

// True when `a` stands before `b` in a list: by name, then newest version first.
bool StandsBefore(const ModelVersion& a, const ModelVersion& b) {
  return a.name != b.name ? a.name < b.name : a.version > b.version;
}

// The last model of a page, and the name that the list is of; '/' stands in no name.
std::string PageToken(const v1::Model& last, const std::string& name) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(ToString({last.name(), last.version()}), "/", name));
}

// The last model of the page before.
absl::StatusOr<ModelVersion> ParsePageToken(const v1::ListModelsRequest& request) {
  std::string text;
  if (absl::WebSafeBase64Unescape(request.page_token(), &text)) {
    const std::vector<std::string> parts = absl::StrSplit(text, '/');
    absl::StatusOr<ModelVersion> last = ParseModelVersion(parts[0]);
    if (parts.size() == 2 && last.ok() && last->version > 0) {
      if (parts[1] == request.name()) return last;
      return InvalidField("page_token", "was made for another name; repeat that of the first page");
    }
  }
  return InvalidField("page_token", "is not one that ListModels has answered");
}

// What an unfinished job still needs the model for, in words; null: nothing.
const char* RoleIn(const v1::Job& job, const ModelVersion& model, bool made_by_it) {
  const v1::JobSpec& spec = job.spec();
  if (spec.base_model() == ToString(model)) return "the base model";
  if (!made_by_it) return nullptr;
  if (PublishesParent(spec) && model.name == ParentModelName(spec.model_name())) {
    return "the dense parent";
  }
  // The budgets of later tries follow from what came of it.
  if (spec.has_goal() && GoalTryNumber(model.name, spec.model_name())) return "a try";
  return nullptr;
}

}  // namespace

absl::StatusOr<ModelVersion> ModelVersionOf(const std::string& name, int64_t version) {
  if (const absl::Status checked = CheckModelName(name); !checked.ok()) {
    return InvalidField("name", checked.message());
  }
  if (version < 0) {
    return InvalidField("version", absl::StrCat(version, " is negative; 0 is the newest"));
  }
  return ModelVersion{name, version};
}

absl::StatusOr<v1::Model> GetModel(const ModelRegistry& registry, const ModelVersion& version) {
  absl::StatusOr<v1::Model> model = registry.Get(version);
  if (absl::IsNotFound(model.status())) return WithReason(model.status(), "MODEL_NOT_FOUND");
  return model;
}

ModelService::ModelService(absl::Duration patience, ModelRegistry* registry, JobStore* store,
                           std::function<void(const ModelVersion&)> on_deleted,
                           BlockingCalls* calls, Clock* clock)
    : registry_(registry),
      store_(store),
      on_deleted_(std::move(on_deleted)),
      calls_(calls),
      places_(patience, clock) {}

absl::StatusOr<v1::ListModelsResponse> ModelService::List(
    const v1::ListModelsRequest& request) const {
  if (!request.name().empty()) {
    CYTOPRESS_RETURN_IF_ERROR(ModelVersionOf(request.name(), 0).status());
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  ModelVersion last;
  if (!request.page_token().empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(last, ParsePageToken(request));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(std::vector<v1::Model> models, registry_->List(request.name()));
  v1::ListModelsResponse response;
  int64_t bytes = 0;
  for (v1::Model& model : models) {
    const ModelVersion version{model.name(), model.version()};
    if (!last.name.empty() && !StandsBefore(last, version)) continue;
    bytes += static_cast<int64_t>(model.ByteSizeLong());
    const int listed = response.models_size();
    if (listed == page_size || (listed > 0 && bytes > kMaxPageBytes)) {
      response.set_next_page_token(PageToken(response.models(listed - 1), request.name()));
      break;
    }
    *response.add_models() = std::move(model);
  }
  return response;
}

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const v1::ListModelsRequest* request,
                                                   v1::ListModelsResponse* response) {
  return calls_->Answer<v1::ListModelsResponse>(context, response,
                                                [this, request] { return List(*request); });
}

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context,
                                                 const v1::GetModelRequest* request,
                                                 v1::Model* response) {
  return calls_->Answer<v1::Model>(
      context, response, [this, request]() -> absl::StatusOr<v1::Model> {
        CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version,
                                   ModelVersionOf(request->name(), request->version()));
        return cytopress::GetModel(*registry_, version);
      });
}

grpc::ServerWriteReactor<v1::DownloadModelResponse>* ModelService::DownloadModel(
    grpc::CallbackServerContext* context, const v1::DownloadModelRequest* request) {
  return DownloadReactor::Start(*request, registry_, &places_, calls_, context);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* ModelService::UploadModel(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  return UploadReactor::Start(registry_, &publishing_, &places_, calls_, context, response);
}

absl::Status ModelService::CheckUnused(const ModelVersion& model) const {
  // One that cannot be read has published nothing that a job still reads.
  const absl::StatusOr<v1::Model> manifest = registry_->Get(model);
  const std::string maker = manifest.ok() ? manifest->provenance().job_id() : "";
  ListJobsQuery query;
  query.states = {v1::JOB_STATE_QUEUED, v1::JOB_STATE_LEASED, v1::JOB_STATE_RUNNING};
  query.page_size = kMaxPageSize;
  do {
    CYTOPRESS_ASSIGN_OR_RETURN(const ListJobsPage page, store_->List(query));
    for (const v1::Job& job : page.jobs) {
      const char* const role = RoleIn(job, model, /*made_by_it=*/job.id() == maker);
      if (role == nullptr) continue;
      return WithReason(absl::FailedPreconditionError(
                            absl::StrCat(ToString(model), " is ", role, " of job ", job.id(),
                                         ", which has not ended; wait for it or cancel it first")),
                        "MODEL_IN_USE", {{"job", job.id()}});
    }
    query.page_token = page.next_page_token;
  } while (!query.page_token.empty());
  return absl::OkStatus();
}

absl::Status ModelService::Delete(const ModelVersion& model) {
  // Meanwhile no server stores a job that needs it as its base (JobService::Store).
  absl::Status status = registry_->Delete(model, [&] { return CheckUnused(model); });
  if (absl::IsNotFound(status)) return WithReason(std::move(status), "MODEL_NOT_FOUND");
  return status;
}

grpc::ServerUnaryReactor* ModelService::DeleteModel(grpc::CallbackServerContext* context,
                                                    const v1::DeleteModelRequest* request,
                                                    v1::DeleteModelResponse* response) {
  return calls_->Answer(context, [this, request]() -> absl::Status {
    CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion model,
                               ModelVersionOf(request->name(), request->version()));
    if (model.version == 0) {
      return InvalidField("version", "is not given; deleting needs the very version");
    }
    CYTOPRESS_RETURN_IF_ERROR(Delete(model));
    on_deleted_(model);
    return absl::OkStatus();
  });
}

}  // namespace cytopress
