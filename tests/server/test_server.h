// A whole server in this process, on free ports and a folder of its own, and a client for it.
#ifndef CYTOPRESS_TESTS_SERVER_TEST_SERVER_H_
#define CYTOPRESS_TESTS_SERVER_TEST_SERVER_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/artifact/artifact.h"
#include "core/jobs/job_store.h"
#include "core/network/network.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "server/daemon.h"
#include "tests/temporary_folder.h"

namespace cytopress {

// resnet18 for 28 x 28 RGB images of eight classes.
NetworkSpec TestNetwork();
// A random INT4 model of that network.
const Artifact& TestModel();
// Its bytes. `edition` is only noted in them: files differ, models do not.
std::string TestArtifact(int64_t edition = 1);

// The details that came with an error, which must be there.
struct Details {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  bool has_retry = false;

  // The fields that were complained about, in their order.
  std::vector<std::string> fields() const;
};
Details DetailsOf(const grpc::Status& status);

// The text that `port`, where somebody must listen, answers to GET `path`, headers included.
std::string HttpGet(int port, const std::string& path);

// The value of the line that starts with `series` (name and labels), or NaN when there is none.
double MetricValue(const std::string& text, const std::string& series);

// A test gets a folder of its own; the server starts with the first Start().
class ServerTest : public testing::Test {
 protected:
  // Without workers: the tests are the workers.
  virtual void Configure(DaemonOptions* options) {}
  void Start();

  // To a server of this machine: no proxy that the environment names is asked.
  static std::shared_ptr<grpc::Channel> OpenChannel(
      const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials =
                                     grpc::InsecureChannelCredentials());

  // A call that nothing answers fails the test instead of hanging.
  static std::unique_ptr<grpc::ClientContext> Context();

  // The registry and the job store that the server uses, seen from outside, as a worker sees them.
  ModelRegistry OpenRegistry() const;
  std::unique_ptr<JobStore> OpenStore() const;
  ModelVersion Publish(const std::string& name, int64_t edition = 1) const;

  // A request that is in order: draws its data, trains from scratch.
  static v1::CompressRequest ValidCompress();
  grpc::Status Compress(const v1::CompressRequest& request, v1::Job* job);
  v1::Job MustCompress(const v1::CompressRequest& request = ValidCompress());

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("state");  // not there yet
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::InferenceService::Stub> inference_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_TEST_SERVER_H_
