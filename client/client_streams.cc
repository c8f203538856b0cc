// The calls with a stream: watching a job, downloading and uploading a model.
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/patience.h"
#include "client/reconnection.h"
#include "client/status.h"
#include "core/base/pending_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr size_t kChunkBytes = 256 << 10;

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::JOB_STATE_SUCCEEDED || job.state() == v1::JOB_STATE_FAILED ||
         job.state() == v1::JOB_STATE_CANCELLED;
}

// One call of WatchJob, from its first message to its end.
struct WatchAttempt {
  v1::Job job;
  bool heard = false;    // at least one message came
  bool stopped = false;  // the caller has seen enough
  grpc::Status status;
};

WatchAttempt WatchOnce(v1::JobService::StubInterface* stub, const std::string& id,
                       absl::FunctionRef<bool(const v1::Job&)> on_change) {
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id(id);
  WatchAttempt attempt;
  const std::unique_ptr<grpc::ClientReaderInterface<v1::WatchJobResponse>> reader =
      stub->WatchJob(&context, request);
  v1::WatchJobResponse response;
  while (!attempt.stopped && reader->Read(&response)) {
    attempt.heard = true;
    attempt.job = std::move(*response.mutable_job());
    attempt.stopped = !on_change(attempt.job);
  }
  if (attempt.stopped) context.TryCancel();
  attempt.status = reader->Finish();
  return attempt;
}

absl::Status ServesWithoutFormats(v1::ModelFormat format) {
  if (format == v1::MODEL_FORMAT_CYTOPRESS) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("the server is too old for ", v1::ModelFormat_Name(format),
                   "; upgrade cytopressd, or download the file as it is"));
}

}  // namespace

absl::StatusOr<v1::Job> Client::WatchJob(const std::string& id,
                                         absl::FunctionRef<bool(const v1::Job&)> on_change,
                                         const WatchOptions& options) {
  Reconnection reconnection(options.reconnect_for, sleep_);
  while (true) {
    WatchAttempt attempt = WatchOnce(jobs_.get(), id, on_change);
    if (attempt.stopped || (attempt.heard && HasEnded(attempt.job))) return std::move(attempt.job);
    if (attempt.heard) reconnection.Heard();
    // A stream that ends well before the job has ended was cut short as well.
    const absl::Status why =
        attempt.status.ok() ? absl::UnavailableError("the server ended the watch before the job")
                            : ToAbslStatus(attempt.status);
    if (!IsLost(why) || !reconnection.MayTry()) return why;
    if (options.on_disconnect) options.on_disconnect(why);
    reconnection.Pause();
  }
}

absl::StatusOr<DownloadedModel> Client::DownloadModel(const std::string& name, int64_t version,
                                                      const std::string& path,
                                                      v1::ModelFormat format,
                                                      const TransferProgress& on_progress) {
  CYTOPRESS_ASSIGN_OR_RETURN(PendingFile file, PendingFile::Create(path));
  grpc::ClientContext context;
  v1::DownloadModelRequest request;
  request.set_name(name);
  request.set_version(version);
  request.set_format(format);
  Patience patience(&context, deadline_);
  std::unique_ptr<grpc::ClientReaderInterface<v1::DownloadModelResponse>> reader;
  patience.During([&] {  // waits for the connection
    reader = models_->DownloadModel(&context, request);
    return true;
  });
  DownloadedModel result;
  std::string announced;
  int64_t total = 0;
  Sha256 digest;
  v1::DownloadModelResponse response;
  absl::Status written = absl::OkStatus();
  while (written.ok() && patience.During([&] { return reader->Read(&response); })) {
    if (response.has_model()) {
      result.model = std::move(*response.mutable_model());
      if (format == v1::MODEL_FORMAT_CYTOPRESS) total = result.model.size().disk_bytes();
      announced = response.sha256();
      // A server from before there were formats sends the file that it has, without a digest.
      if (announced.empty()) {
        written = ServesWithoutFormats(format);
        announced = result.model.sha256();
        continue;
      }
    }
    digest.Update(response.data());
    result.file_bytes += static_cast<int64_t>(response.data().size());
    written = file.Append(response.data());
    if (on_progress) on_progress(result.file_bytes, total);
  }
  if (!written.ok()) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  CYTOPRESS_RETURN_IF_ERROR(written);
  CYTOPRESS_RETURN_IF_ERROR(patience.status());
  if (!finished.ok()) return ToAbslStatus(finished);
  result.file_sha256 = absl::BytesToHexString(digest.Finish());
  if (result.file_sha256 != announced) {
    return absl::DataLossError(absl::StrCat(
        "the bytes of ", name, " that came have SHA-256 ", result.file_sha256,
        " where the server announced \"", announced, "\"; ", path,
        file.replaces() ? " was not replaced" : " has got them all the same: do not use it"));
  }
  CYTOPRESS_RETURN_IF_ERROR(file.Commit());
  return result;
}

absl::StatusOr<v1::Model> Client::UploadModel(const std::string& name, absl::string_view file,
                                              const TransferProgress& on_progress) {
  const auto total = static_cast<int64_t>(file.size());
  grpc::ClientContext context;
  v1::Model model;
  Patience patience(&context, deadline_);
  std::unique_ptr<grpc::ClientWriterInterface<v1::UploadModelRequest>> writer;
  patience.During([&] {  // waits for the connection
    writer = models_->UploadModel(&context, &model);
    return true;
  });
  v1::UploadModelRequest request;
  request.set_name(name);
  request.set_sha256(Sha256Hex(file));
  // At least one message, which says the name.
  bool takes_in = true;
  do {
    request.set_data(std::string(file.substr(0, kChunkBytes)));
    file.remove_prefix(request.data().size());
    takes_in = patience.During([&] { return writer->Write(request); });
    request.Clear();
    if (on_progress) on_progress(total - static_cast<int64_t>(file.size()), total);
  } while (takes_in && !file.empty());
  grpc::Status finished;
  // The server checks the whole file and stores it before it answers.
  patience.During([&] {
    writer->WritesDone();
    finished = writer->Finish();
    return true;
  });
  CYTOPRESS_RETURN_IF_ERROR(patience.status());
  if (!finished.ok()) return ToAbslStatus(finished);
  return model;
}

}  // namespace cytopress
