// A cytopress service, called from C++. Results are the messages of proto/cytopress/v1; errors are
// absl::Status with the server's code and its details in words (client/status.h).
#ifndef CYTOPRESS_CLIENT_CLIENT_H_
#define CYTOPRESS_CLIENT_CLIENT_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "cytopress/v1/models.grpc.pb.h"

namespace cytopress {

// PEM files. Certificate and key are given together or not at all; a key with a passphrase cannot
// be used.
struct TlsFiles {
  std::string ca;           // empty: the system's roots
  std::string certificate;  // the client's own, for servers that ask for one
  std::string key;
};

struct ClientOptions {
  std::string target = "127.0.0.1:8500";  // "host:port" or "unix:/path"
  // Of each call but WatchJob; of DownloadModel, UploadModel and ClassifyAll, the longest wait for
  // the server to send or take in something; of ClassifyAll also that for a server that went away.
  // Must be finite.
  absl::Duration deadline = absl::Seconds(30);
  std::optional<TlsFiles> tls;  // unset: no encryption
  // Waits between attempts to reach a server that went away.
  std::function<void(absl::Duration)> sleep = absl::SleepFor;
};

struct WatchOptions {
  // How long to try again, in all, after the connection was lost; zero = not at all. A first
  // attempt that fails is an error at once.
  absl::Duration reconnect_for = absl::Minutes(10);
  // Called before each new attempt.
  std::function<void(const absl::Status& why)> on_disconnect;
};

struct DownloadedModel {
  v1::Model model;
  int64_t file_bytes = 0;
  std::string file_sha256;  // hex
};

// Called as a model's file goes over the line: how much of it has, and how much it is; 0 where that
// is not known.
using TransferProgress = std::function<void(int64_t bytes, int64_t total)>;

struct ClassifySummary {
  std::string model;
  int64_t version = 0;
  int64_t images = 0;
  int64_t requests = 0;
  v1::Timing timing;       // the server's, summed over the requests
  absl::Duration elapsed;  // on the caller's clock, loading included
};

struct ClassifyOptions {
  std::string model;    // empty: the server's default
  int64_t version = 0;  // 0: the newest when the first answer comes, and the same from then on
  int top_k = 1;        // -1: all classes
  // A request holds at most this many images, and this many bytes (but at least one image); fewer
  // bytes once the server has refused one as larger than its --max-message-mib.
  int batch_images = 64;
  int64_t batch_bytes = int64_t{3} << 20;
  int in_flight = 4;  // requests sent and not yet answered
  // What errors call an image; unset: "images[N]".
  std::function<std::string(int64_t)> image_name;
  // Gets an image that cannot be loaded, that the server refuses, or that is too large for a
  // request, and the others go on; unset: the first one ends it.
  std::function<void(int64_t, const absl::Status&)> on_bad_image;
  // Called after the results of each answer with what there is so far: all that is known of a run
  // that ends with an error.
  std::function<void(const ClassifySummary&)> on_progress;
  // Asked several times a second while a server that went away is waited for; false ends the run
  // with `why`.
  std::function<bool(const absl::Status& why)> on_disconnect;
};

// Thread-safe.
class Client {
 public:
  // Reads the TLS files (INVALID_ARGUMENT or NOT_FOUND names one that is missing, holds something
  // else, or is the key of another certificate); connects with the first call.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options);

  // Over a channel that is already there, such as one within the process. Of the options only
  // `deadline` and `sleep` are used.
  explicit Client(std::shared_ptr<grpc::ChannelInterface> channel,
                  const ClientOptions& options = {});

  absl::StatusOr<v1::Job> Compress(const v1::CompressRequest& request);
  absl::StatusOr<v1::Job> GetJob(const std::string& id);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::Job> CancelJob(const std::string& id);

  // Calls `on_change` with the job as it is and after every change, until the job has ended or
  // `on_change` returns false; returns the job last seen. A lost connection is made again.
  absl::StatusOr<v1::Job> WatchJob(const std::string& id,
                                   absl::FunctionRef<bool(const v1::Job&)> on_change,
                                   const WatchOptions& options = {});

  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request);
  // Version 0 is the newest.
  absl::StatusOr<v1::Model> GetModel(const std::string& name, int64_t version = 0);
  absl::Status DeleteModel(const std::string& name, int64_t version);

  // Writes the model's file to `path`, replacing what was there once the whole file has come and
  // its SHA-256 is what the server announced; DATA_LOSS otherwise, and `path` is as it was. A pipe
  // or device gets the bytes as they come. UNIMPLEMENTED when the server is too old for the format.
  absl::StatusOr<DownloadedModel> DownloadModel(const std::string& name, int64_t version,
                                                const std::string& path,
                                                v1::ModelFormat format = v1::MODEL_FORMAT_CYTOPRESS,
                                                const TransferProgress& on_progress = nullptr);

  // Publishes the bytes of a model's file as the next version of `name`.
  absl::StatusOr<v1::Model> UploadModel(const std::string& name, absl::string_view file,
                                        const TransferProgress& on_progress = nullptr);

  absl::StatusOr<v1::ClassifyResponse> Classify(const v1::ClassifyRequest& request);

  // Classifies `count` images in several requests at a time on one ClassifyStream, which a busy
  // server slows down instead of refusing. `load(i)` is called once for each
  // image, in order, when its request is put together; `on_result(i, ...)` once for each image, in
  // the order in which answers come. Both on the caller's thread. The first error ends it, but for
  // those of single images when `options` takes them, for requests that are too large, whose images
  // are sent again in smaller ones, and for UNAVAILABLE of a server that has answered before: what
  // has no answer yet is sent again once the server is back.
  absl::StatusOr<ClassifySummary> ClassifyAll(
      int64_t count, absl::FunctionRef<absl::StatusOr<v1::ImageInput>(int64_t)> load,
      absl::FunctionRef<void(int64_t, const v1::Classification&)> on_result,
      const ClassifyOptions& options = {});

 private:
  void SetDeadline(grpc::ClientContext* context) const;

  const absl::Duration deadline_;
  const std::function<void(absl::Duration)> sleep_;
  const std::unique_ptr<v1::JobService::StubInterface> jobs_;
  const std::unique_ptr<v1::ModelService::StubInterface> models_;
  const std::unique_ptr<v1::InferenceService::StubInterface> inference_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLIENT_H_
