#include "server/download_reactor.h"

#include <fstream>
#include <new>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/onnx/onnx_export.h"
#include "core/serving/error_details.h"
#include "server/model_service.h"
#include "server/status.h"

namespace cytopress {
namespace {

constexpr int64_t kChunkBytes = 256 << 10;

}  // namespace

DownloadReactor* DownloadReactor::Start(const v1::DownloadModelRequest& request,
                                        const ModelRegistry* registry, FilePlaces* places,
                                        BlockingCalls* calls,
                                        grpc::CallbackServerContext* context) {
  auto* const reactor = new DownloadReactor(request, registry, places, calls, context);
  reactor->Schedule(&DownloadReactor::SendModel);
  return reactor;
}

void DownloadReactor::Schedule(void (DownloadReactor::*step)()) {
  if (!calls_->TrySchedule([this, step] { Take(step); })) End(BlockingCalls::Overloaded());
}

void DownloadReactor::Take(void (DownloadReactor::*step)()) try {
  if (context_->IsCancelled()) return End(ClientGone());
  (this->*step)();
} catch (const std::bad_alloc&) {
  End(OutOfMemory("no memory for the model's file"));
}

absl::Status DownloadReactor::Open() {
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion wanted,
                             ModelVersionOf(request_.name(), request_.version()));
  CYTOPRESS_ASSIGN_OR_RETURN(v1::Model model, GetModel(*registry_, wanted));
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string path,
                             registry_->PathOf({model.name(), model.version()}));
  *response_.mutable_model() = std::move(model);
  switch (request_.format()) {
    case v1::MODEL_FORMAT_UNSPECIFIED:
    case v1::MODEL_FORMAT_CYTOPRESS:
      return OpenFile(path);
    case v1::MODEL_FORMAT_ONNX:
      return OpenOnnx(path);
    default:
      return InvalidField("format",
                          absl::StrCat(request_.format(), " is unknown to this server; it knows ",
                                       "MODEL_FORMAT_CYTOPRESS and MODEL_FORMAT_ONNX"));
  }
}

absl::Status DownloadReactor::OpenFile(const std::string& path) {
  content_ = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*content_) return absl::InternalError(absl::StrCat("cannot read ", path));
  response_.set_sha256(response_.model().sha256());
  return absl::OkStatus();
}

absl::Status DownloadReactor::OpenOnnx(const std::string& path) {
  const auto cut_off = [context = context_] { context->TryCancel(); };
  if (!places_->Take(this, cut_off)) return BlockingCalls::Overloaded();
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(bytes));
  OnnxOptions options;
  options.name = response_.model().name();
  options.version = response_.model().version();
  options.producer_version = CYTOPRESS_VERSION;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string onnx, ExportOnnx(artifact, options));
  response_.set_sha256(Sha256Hex(onnx));
  content_ = std::make_unique<std::istringstream>(onnx);
  return absl::OkStatus();
}

void DownloadReactor::SendModel() {
  if (const absl::Status status = Open(); !status.ok()) return End(status);
  Write();
}

void DownloadReactor::SendChunk() {
  response_.clear_model();
  response_.clear_sha256();
  std::string* const data = response_.mutable_data();
  data->resize(kChunkBytes);
  content_->read(&(*data)[0], kChunkBytes);
  data->resize(content_->gcount());
  if (content_->bad())
    return End(absl::DataLossError("the model's file cannot be read to its end"));
  if (data->empty()) return End(absl::OkStatus());
  Write();
}

void DownloadReactor::Write() {
  places_->NoteWaiting(this);
  StartWrite(&response_);
}

void DownloadReactor::OnWriteDone(bool ok) {
  if (!ok) return End(ClientGone());
  places_->NoteWorking(this);
  Schedule(&DownloadReactor::SendChunk);
}

void DownloadReactor::End(const absl::Status& status) { FinishWith(status, context_, this); }

}  // namespace cytopress
