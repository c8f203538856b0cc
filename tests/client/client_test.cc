#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/file.h"
#include "tests/client/fake_service.h"
#include "tests/scoped_environment.h"
#include "tests/server/certificates.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

TEST(Client, SendsTheJobAndReturnsIt) {
  FakeService service;
  Client client(service.channel());
  v1::CompressRequest request;
  request.mutable_spec()->set_model_name("blood");
  request.set_request_id("r1");
  const absl::StatusOr<v1::Job> job = client.Compress(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec().model_name(), "blood");
  EXPECT_EQ(service.jobs.last_request.request_id(), "r1");
  EXPECT_EQ(client.GetJob("job-1")->state(), v1::JOB_STATE_QUEUED);
}

TEST(Client, ReturnsTheServersErrors) {
  FakeService service;
  Client client(service.channel());
  EXPECT_EQ(client.GetJob("x").status(), absl::NotFoundError("no job \"x\""));
  service.jobs.compress_error = BadField("spec.model_name", "\"\" is not a model name");
  const absl::Status refused = client.Compress({}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("spec.model_name: \"\" is not"));
}

TEST(Client, GivesUpAtTheDeadline) {
  FakeService service;
  // Shared: the service may still wake from its wait when the test has ended.
  const auto answered = std::make_shared<absl::Notification>();
  service.inference.answer = [answered](const v1::ClassifyRequest&, v1::ClassifyResponse*) {
    answered->WaitForNotification();
    return grpc::Status::OK;
  };
  ClientOptions options;
  options.deadline = absl::Milliseconds(50);
  Client client(service.channel(), options);
  EXPECT_EQ(client.Classify({}).status().code(), absl::StatusCode::kDeadlineExceeded);
  answered->Notify();
}

TEST(Client, IsUnavailableWhereNobodyListens) {
  ClientOptions options;
  const TemporaryFolder folder;
  options.target = "unix:" + folder.PathOf("nobody-listens.sock");
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->GetJob("x").status().code(), absl::StatusCode::kUnavailable);
}

// Like a server behind a slow line: whoever connects hears nothing yet.
TEST(Client, GivesAConnectionTheTimeOfItsCall) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const TemporaryFolder folder;
  const std::string path = folder.PathOf("slow.sock");
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ClientOptions options;
  options.target = absl::StrCat("unix:", path);
  options.deadline = absl::Milliseconds(600);
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->GetJob("x").status().code(), absl::StatusCode::kDeadlineExceeded);
  close(listener);
}

// A proxy that is not there would make the call UNAVAILABLE at once.
TEST(Client, AsksNoProxyForTheLoopback) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const ScopedEnvironment proxy("http_proxy", "http://127.0.0.1:1");
  ClientOptions options;
  options.target = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  options.deadline = absl::Milliseconds(200);
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(options);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->GetJob("x").status().code(), absl::StatusCode::kDeadlineExceeded);
  close(listener);
}

TEST(ClientTls, NamesTheFileThatIsWrong) {
  ClientOptions options;
  options.tls.emplace();
  options.tls->ca = "/nowhere/ca.pem";
  absl::Status status = Client::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/ca.pem"));

  const TemporaryFolder folder;
  options.tls->ca = folder.PathOf("ca.pem");
  ASSERT_TRUE(WriteFileAtomically(options.tls->ca, "hello").ok());
  status = Client::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is no PEM file"));
}

TEST(ClientTls, LooksIntoTheFilesBeforeItConnects) {
  const TemporaryFolder folder;
  const CertificateAndKey mine = SelfSigned();
  const CertificateAndKey other = SelfSigned();
  const auto write = [&folder](const std::string& name, const std::string& pem) {
    EXPECT_TRUE(WriteFileAtomically(folder.PathOf(name), pem).ok());
    return folder.PathOf(name);
  };
  const std::string certificate = write("mine.pem", mine.certificate);
  const std::string key = write("mine.key", mine.key);
  const std::string other_key = write("other.key", other.key);
  const auto create = [](const std::string& ca, const std::string& pem, const std::string& key) {
    ClientOptions options;
    options.tls = TlsFiles{ca, pem, key};
    return Client::Create(options).status();
  };
  EXPECT_EQ(create(certificate, certificate, key), absl::OkStatus());
  EXPECT_EQ(create(certificate, "", ""), absl::OkStatus());
  const absl::Status stranger = create(certificate, certificate, other_key);
  EXPECT_EQ(stranger.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(stranger.message()),
              HasSubstr("other.key is not the key of the certificate " + certificate));
  EXPECT_THAT(std::string(create(key, "", "").message()),
              HasSubstr("mine.key holds no certificate"));
  EXPECT_THAT(std::string(create("", key, key).message()), HasSubstr("TLS certificate: "));
  EXPECT_THAT(std::string(create("", certificate, certificate).message()),
              HasSubstr("mine.pem holds no private key"));
}

TEST(ClientTls, WantsCertificateAndKeyTogether) {
  ClientOptions options;
  options.tls.emplace();
  options.tls->certificate = "client.pem";
  EXPECT_EQ(Client::Create(options).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cytopress
