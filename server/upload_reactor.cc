#include "server/upload_reactor.h"

#include <new>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/serving/error_details.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "server/status.h"

namespace cytopress {
namespace {

constexpr size_t kSha256Digits = 64;

absl::Status NoMemory() { return OutOfMemory("no memory for the model's file"); }

}  // namespace

UploadReactor* UploadReactor::Start(ModelRegistry* registry, absl::Mutex* publishing,
                                    FilePlaces* places, BlockingCalls* calls,
                                    grpc::CallbackServerContext* context,
                                    grpc::ByteBuffer* response) {
  auto* const reactor = new UploadReactor(registry, publishing, places, calls, context, response);
  if (places->Take(reactor, [context] { context->TryCancel(); })) {
    reactor->Read();
  } else {
    reactor->End(BlockingCalls::Overloaded());
  }
  return reactor;
}

void UploadReactor::Read() {
  places_->NoteWaiting(this);
  StartRead(&read_);
}

void UploadReactor::OnReadDone(bool ok) try {
  places_->NoteWorking(this);
  if (ok) {
    const absl::Status status = TakeIn();
    return status.ok() ? Read() : End(status);
  }
  if (context_->IsCancelled()) return End(ClientGone());
  const bool scheduled = calls_->TrySchedule([this]() {
    try {
      // It may have waited long for its turn, and who is gone sends the file again.
      if (context_->IsCancelled()) return End(ClientGone());
      const absl::StatusOr<v1::Model> model = Publish();
      bool is_own = false;
      if (model.ok()) {
        // No model is so large that this could fail.
        grpc::SerializationTraits<v1::Model>::Serialize(*model, response_, &is_own);
      }
      End(model.status());
    } catch (const std::bad_alloc&) {
      End(NoMemory());
    }
  });
  if (!scheduled) End(BlockingCalls::Overloaded());
} catch (const std::bad_alloc&) {
  End(NoMemory());
}

absl::Status UploadReactor::TakeInHead() {
  const std::string sha256 = absl::AsciiStrToLower(request_.sha256());
  if (!name_.empty()) {
    if (!request_.name().empty() && request_.name() != name_) {
      return InvalidField("name",
                          absl::StrCat("\"", request_.name(), "\", where the first message ",
                                       "of the stream says \"", name_,
                                       "\"; send another model on a stream of its own"));
    }
    if (sha256.empty() || sha256 == sha256_) return absl::OkStatus();
    return InvalidField("sha256",
                        "is another than that of the first message; give there what all data have");
  }
  if (const absl::Status checked = CheckModelName(request_.name()); !checked.ok()) {
    return InvalidField("name", checked.message());
  }
  if (!sha256.empty() &&
      (sha256.size() != kSha256Digits || !absl::c_all_of(sha256, absl::ascii_isxdigit))) {
    return InvalidField("sha256", absl::StrCat("is no SHA-256: give ", kSha256Digits,
                                               " hex digits, or leave it out"));
  }
  name_ = request_.name();
  sha256_ = sha256;
  return absl::OkStatus();
}

absl::Status UploadReactor::TakeIn() {
  if (!grpc::SerializationTraits<v1::UploadModelRequest>::Deserialize(&read_, &request_).ok()) {
    return UnreadableMessage();
  }
  CYTOPRESS_RETURN_IF_ERROR(TakeInHead());
  if (bytes_.size() + request_.data().size() > size_t{kMaxArtifactFileBytes}) {
    return InvalidField("data", absl::StrCat("is more than ", kMaxArtifactFileBytes,
                                             " bytes, which no model's file has"));
  }
  bytes_ += request_.data();
  return absl::OkStatus();
}

absl::StatusOr<v1::Model> UploadReactor::Publish() const {
  if (name_.empty()) return InvalidField("name", "is missing: the stream had no message");
  const std::string digest = Sha256Hex(bytes_);
  if (!sha256_.empty() && sha256_ != digest) {
    return absl::DataLossError(absl::StrCat("the ", bytes_.size(), " bytes that came have SHA-256 ",
                                            digest, " where sha256 announced \"", sha256_,
                                            "\"; send the file again"));
  }
  // A call that is made again must not publish twice, also while the first one is at it.
  absl::MutexLock lock(publishing_);
  const absl::StatusOr<v1::Model> newest = registry_->Get({name_, 0});
  if (newest.ok() && newest->sha256() == digest) return newest;
  const absl::StatusOr<ModelVersion> published =
      registry_->Publish(name_, bytes_, /*publication_key=*/"");
  if (absl::IsInvalidArgument(published.status())) {
    return InvalidField("data", published.status().message());
  }
  CYTOPRESS_RETURN_IF_ERROR(published.status());
  return registry_->Get(*published);
}

void UploadReactor::End(const absl::Status& status) { FinishWith(status, context_, this); }

}  // namespace cytopress
