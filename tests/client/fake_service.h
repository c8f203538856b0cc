// The three services as the tests want them to answer, within the test's own process: no port.
#ifndef CYTOPRESS_TESTS_CLIENT_FAKE_SERVICE_H_
#define CYTOPRESS_TESTS_CLIENT_FAKE_SERVICE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/eventually.h"

namespace cytopress {

// A status with google.rpc details, as the server sends them.
inline grpc::Status RichStatus(grpc::StatusCode code, const std::string& message,
                               const std::vector<const google::protobuf::Message*>& details) {
  google::rpc::Status rich;
  rich.set_code(code);
  rich.set_message(message);
  for (const google::protobuf::Message* detail : details) rich.add_details()->PackFrom(*detail);
  return grpc::Status(code, message, rich.SerializeAsString());
}

inline grpc::Status BadField(const std::string& field, const std::string& description) {
  google::rpc::BadRequest bad;
  google::rpc::BadRequest::FieldViolation* violation = bad.add_field_violations();
  violation->set_field(field);
  violation->set_description(description);
  return RichStatus(grpc::StatusCode::INVALID_ARGUMENT, "bad request", {&bad});
}

// What one WatchJob stream sends, and how it ends.
struct WatchScript {
  std::vector<v1::Job> jobs;
  grpc::Status end;
};

class FakeJobs : public v1::JobService::Service {
 public:
  grpc::Status Compress(grpc::ServerContext*, const v1::CompressRequest* request,
                        v1::Job* job) override {
    absl::MutexLock lock(&mutex_);
    if (!compress_error.ok()) return compress_error;
    last_request = *request;
    job->set_id("job-1");
    job->set_state(v1::JOB_STATE_QUEUED);
    *job->mutable_spec() = request->spec();
    jobs[job->id()] = *job;
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* job) override {
    absl::MutexLock lock(&mutex_);
    const auto found = jobs.find(request->id());
    if (found == jobs.end()) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no job \"" + request->id() + "\"");
    }
    *job = found->second;
    return grpc::Status::OK;
  }

  // One job a page, so that every caller has to turn pages.
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    absl::MutexLock lock(&mutex_);
    last_list = *request;
    auto it = request->page_token().empty() ? jobs.begin() : jobs.find(request->page_token());
    if (it == jobs.end()) return grpc::Status::OK;
    *response->add_jobs() = it->second;
    if (++it != jobs.end()) response->set_next_page_token(it->first);
    return grpc::Status::OK;
  }

  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    WatchScript script;
    {
      absl::MutexLock lock(&mutex_);
      ++watches;
      if (scripts.empty()) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
      script = scripts.front();
      scripts.erase(scripts.begin());
    }
    for (const v1::Job& job : script.jobs) {
      v1::WatchJobResponse response;
      *response.mutable_job() = job;
      writer->Write(response);
    }
    return script.end;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* job) override {
    absl::MutexLock lock(&mutex_);
    if (request->id() == uncancellable) {
      return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "it has ended");
    }
    job->set_id(request->id());
    job->set_state(v1::JOB_STATE_CANCELLED);
    return grpc::Status::OK;
  }

  // Set before the first call and read after the last.
  std::map<std::string, v1::Job> jobs;
  std::vector<WatchScript> scripts;
  std::string uncancellable;  // a job's id
  grpc::Status compress_error;
  v1::CompressRequest last_request;
  v1::ListJobsRequest last_list;
  int watches = 0;

 private:
  absl::Mutex mutex_;
};

class FakeModels : public v1::ModelService::Service {
 public:
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                        v1::Model* model) override {
    const bool has_version = request->version() == 0 || request->version() == this->model.version();
    if (request->name() != this->model.name() || !has_version) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no model \"" + request->name() + "\"");
    }
    *model = this->model;
    return grpc::Status::OK;
  }

  grpc::Status ListModels(grpc::ServerContext*, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    if (lists_none) return grpc::Status::OK;
    *response->add_models() = model;
    for (const v1::Model& other : others) *response->add_models() = other;
    if (request->page_token().empty()) response->set_next_page_token("second");
    return grpc::Status::OK;
  }

  grpc::Status DeleteModel(grpc::ServerContext*, const v1::DeleteModelRequest* request,
                           v1::DeleteModelResponse*) override {
    deleted = request->name() + "@" + std::to_string(request->version());
    all_deleted.push_back(deleted);
    return grpc::Status::OK;
  }

  grpc::Status DownloadModel(grpc::ServerContext*, const v1::DownloadModelRequest* request,
                             grpc::ServerWriter<v1::DownloadModelResponse>* writer) override {
    format = request->format();
    v1::DownloadModelResponse first;
    *first.mutable_model() = model;
    first.set_sha256(sha256);
    writer->Write(first);
    for (const std::string& chunk : chunks) {
      v1::DownloadModelResponse response;
      response.set_data(chunk);
      writer->Write(response);
    }
    if (before_end) before_end();
    return download_end;
  }

  grpc::Status UploadModel(grpc::ServerContext*, grpc::ServerReader<v1::UploadModelRequest>* reader,
                           v1::Model* answer) override {
    v1::UploadModelRequest request;
    while (reader->Read(&request)) {
      if (uploads++ == 0) *answer = model;
      if (!request.name().empty()) answer->set_name(request.name());
      if (published_version != 0) answer->set_version(published_version);
      if (!request.sha256().empty()) sha256 = request.sha256();
      uploaded += request.data();
    }
    return upload_end;
  }

  v1::Model model;
  std::vector<v1::Model> others;  // that are listed, too
  bool lists_none = false;
  std::string uploaded;
  int uploads = 0;                // messages
  int64_t published_version = 0;  // of an upload; 0: the model's own
  grpc::Status upload_end;
  std::vector<std::string> chunks;
  std::string sha256;  // of the chunks; empty, as from a server without formats
  v1::ModelFormat format = v1::MODEL_FORMAT_UNSPECIFIED;  // asked for
  grpc::Status download_end;
  std::function<void()> before_end;  // of a download
  std::string deleted;               // last
  std::vector<std::string> all_deleted;
};

class FakeInference : public v1::InferenceService::Service {
 public:
  using Answer = std::function<grpc::Status(const v1::ClassifyRequest&, v1::ClassifyResponse*)>;

  grpc::Status Classify(grpc::ServerContext*, const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    {
      absl::MutexLock lock(&mutex_);
      requests_.push_back(*request);
      most_active_ = std::max(most_active_, ++active_);
    }
    const grpc::Status status = answer(*request, response);
    absl::MutexLock lock(&mutex_);
    --active_;
    return status;
  }

  // Answers as Classify, as many at once as come.
  grpc::Status ClassifyStream(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::ClassifyStreamResponse, v1::ClassifyStreamRequest>* stream)
      override {
    std::vector<std::thread> threads;
    absl::Mutex writing;
    v1::ClassifyStreamRequest request;
    if (before_reading) before_reading();
    grpc::Status end;
    while (stream->Read(&request)) {
      end = stream_end(&request.request());
      if (!end.ok()) break;
      threads.emplace_back([this, request, stream, &writing] {
        v1::ClassifyStreamResponse answer;
        answer.set_id(request.id());
        const grpc::Status status =
            Classify(nullptr, &request.request(), answer.mutable_response());
        if (!status.ok()) {
          google::rpc::Status* const error = answer.mutable_error();
          error->ParseFromString(status.error_details());
          error->set_code(status.error_code());
          error->set_message(status.error_message());
        }
        absl::MutexLock lock(&writing);
        stream->Write(answer);
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (before_stream_end) before_stream_end();
    return end.ok() ? stream_end(nullptr) : end;
  }

  std::vector<v1::ClassifyRequest> requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }
  int most_active() {
    absl::MutexLock lock(&mutex_);
    return most_active_;
  }
  // Blocks a handler until `count` of them are at work at once.
  void AwaitActive(int count) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return most_active_ >= count;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience)) {
      ADD_FAILURE() << most_active_ << " requests at once, not " << count;
    }
  }

  Answer answer;
  std::function<void()> before_reading;  // of a stream
  std::function<void()> before_stream_end;
  // An error ends a stream instead of answering this request, or (nullptr) when the client has sent
  // everything.
  std::function<grpc::Status(const v1::ClassifyRequest*)> stream_end =
      [](const v1::ClassifyRequest*) { return grpc::Status::OK; };

 private:
  absl::Mutex mutex_;
  std::vector<v1::ClassifyRequest> requests_ ABSL_GUARDED_BY(mutex_);
  int active_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_active_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Takes in connections, as a server that is stopped does, and says nothing.
class SilentServer {
 public:
  SilentServer() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_, any, size) != 0 || listen(socket_, 8) != 0 ||
        getsockname(socket_, any, &size) != 0) {
      return;
    }
    target_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~SilentServer() { close(socket_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

  // "127.0.0.1:PORT"; empty where there is no port.
  const std::string& target() const { return target_; }

 private:
  const int socket_;
  std::string target_;
};

class FakeService {
 public:
  // gRPC itself refuses larger messages; unless it is told otherwise, those over 4 MiB.
  explicit FakeService(int max_message_bytes = 4 << 20) {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(max_message_bytes);
    builder.RegisterService(&jobs).RegisterService(&models).RegisterService(&inference);
    server_ = builder.BuildAndStart();
  }
  ~FakeService() { server_->Shutdown(); }

  std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel({}); }

  FakeJobs jobs;
  FakeModels models;
  FakeInference inference;

 private:
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_FAKE_SERVICE_H_
