#include "server/download_reactor.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/model_service.h"
#include "server/status.h"

namespace cytopress {
namespace {

constexpr int64_t kChunkBytes = 256 << 10;

}  // namespace

DownloadReactor* DownloadReactor::Start(const v1::DownloadModelRequest& request,
                                        const ModelRegistry* registry, BlockingCalls* calls,
                                        grpc::CallbackServerContext* context) {
  auto* const reactor = new DownloadReactor(request, registry, calls, context);
  reactor->Schedule(&DownloadReactor::SendModel);
  return reactor;
}

void DownloadReactor::Schedule(void (DownloadReactor::*step)()) {
  if (!calls_->TrySchedule([this, step] { (this->*step)(); })) End(BlockingCalls::Overloaded());
}

absl::Status DownloadReactor::Open() {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion wanted,
                             ModelVersionOf(request_.name(), request_.version()));
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Model model, GetModel(*registry_, wanted));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string path,
                             registry_->PathOf({model.name(), model.version()}));
  file_.open(path, std::ios::binary);
  if (!file_) return absl::InternalError(absl::StrCat("cannot read ", path));
  *response_.mutable_model() = std::move(model);
  return absl::OkStatus();
}

void DownloadReactor::SendModel() {
  if (const absl::Status status = Open(); !status.ok()) return End(status);
  StartWrite(&response_);
}

void DownloadReactor::SendChunk() {
  response_.clear_model();
  std::string* const data = response_.mutable_data();
  data->resize(kChunkBytes);
  file_.read(&(*data)[0], kChunkBytes);
  data->resize(file_.gcount());
  if (file_.bad()) return End(absl::DataLossError("the model's file cannot be read to its end"));
  if (data->empty()) return End(absl::OkStatus());
  StartWrite(&response_);
}

void DownloadReactor::OnWriteDone(bool ok) {
  if (!ok) return End(absl::CancelledError("the client is gone"));
  Schedule(&DownloadReactor::SendChunk);
}

void DownloadReactor::End(const absl::Status& status) {
  AddTrailers(status, context_);
  Finish(ToGrpcStatus(status));
}

}  // namespace cytopress
