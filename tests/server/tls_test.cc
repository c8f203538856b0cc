// Connections that are encrypted, and clients that show who they are.
#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "server/certificate_expiry.h"
#include "server/daemon.h"
#include "tests/captured_log.h"
#include "tests/server/certificates.h"
#include "tests/server/daemon_fixture.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsTest : public DaemonTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    pair_ = SelfSigned();
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/cert.pem", pair_.certificate).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/key.pem", pair_.key).ok());
  }
  // Answers ListJobs.
  grpc::Status CallWith(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const auto stub = v1::JobService::NewStub(
        OpenChannel(absl::StrCat("localhost:", daemon_->port()), credentials));
    v1::ListJobsResponse response;
    return stub->ListJobs(Context().get(), v1::ListJobsRequest(), &response);
  }
  grpc::SslCredentialsOptions Trusting() const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = pair_.certificate;
    return options;
  }

  CertificateAndKey pair_;
};

TEST_F(TlsTest, EncryptsAndRefusesPlainText) {
  configure_ = [this](DaemonOptions* options) {
    options->grpc.tls.certificate = folder_ + "/cert.pem";
    options->grpc.tls.key = folder_ + "/key.pem";
  };
  Start();
  const grpc::Status status = CallWith(grpc::SslCredentials(Trusting()));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(CallWith(grpc::InsecureChannelCredentials()).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, AsksClientsForACertificate) {
  configure_ = [this](DaemonOptions* options) {
    options->grpc.tls.certificate = options->grpc.tls.client_ca = folder_ + "/cert.pem";
    options->grpc.tls.key = folder_ + "/key.pem";
  };
  Start();
  EXPECT_EQ(CallWith(grpc::SslCredentials(Trusting())).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::SslCredentialsOptions mutual = Trusting();
  mutual.pem_cert_chain = pair_.certificate;
  mutual.pem_private_key = pair_.key;
  const grpc::Status status = CallWith(grpc::SslCredentials(mutual));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(TlsTest, TellsWhenTheCertificateExpires) {
  configure_ = [this](DaemonOptions* options) {
    options->grpc.tls.certificate = folder_ + "/cert.pem";
    options->grpc.tls.key = folder_ + "/key.pem";
  };
  const auto seconds_left = [this] {
    return MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                       "cytopress_tls_certificate_expiry_time_seconds") -
           static_cast<double>(absl::ToUnixSeconds(absl::Now()));
  };
  {
    const CapturedLog log;
    Start();
    EXPECT_NEAR(seconds_left(), 3600, 120);
    daemon_.reset();
    EXPECT_THAT(log.text(),
                HasSubstr("info: the TLS certificate " + folder_ + "/cert.pem expires at 20"));
  }
  pair_ = SelfSigned(-absl::Seconds(30));
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/cert.pem", pair_.certificate).ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/key.pem", pair_.key).ok());
  const CapturedLog log;
  Start();
  EXPECT_NEAR(seconds_left(), -30, 120);
  daemon_.reset();
  EXPECT_THAT(log.text(), AllOf(HasSubstr("warning: the TLS certificate"),
                                HasSubstr("has expired at 20"), HasSubstr("replace it")));
}

TEST_F(TlsTest, AChainExpiresWithItsFirstCertificateThatDoes) {
  const std::string path = folder_ + "/chain.pem";
  const std::string soon = SelfSigned(absl::Hours(1)).certificate;
  const std::string late = SelfSigned(absl::Hours(100)).certificate;
  for (const std::string& chain : {late + soon, soon + late}) {
    ASSERT_TRUE(WriteFileAtomically(path, chain).ok());
    const absl::StatusOr<absl::Time> expiry = CertificateExpiry(path);
    ASSERT_TRUE(expiry.ok()) << expiry.status();
    EXPECT_LT(*expiry, absl::Now() + absl::Hours(2));
  }
  const absl::Status none = CertificateExpiry(folder_ + "/key.pem").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.message()), HasSubstr("holds no certificate"));
}

TEST_F(TlsTest, HalfOfAPairIsAnError) {
  DaemonOptions options = SomeOptions();
  options.grpc.tls.certificate = folder_ + "/cert.pem";
  EXPECT_EQ(Daemon::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.grpc.tls.key = folder_ + "/nothing.pem";
  EXPECT_EQ(Daemon::Start(options).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/key.der", "0\x82").ok());
  options.grpc.tls.key = folder_ + "/key.der";
  const absl::Status no_pem = Daemon::Start(options).status();
  EXPECT_EQ(no_pem.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(no_pem.message()), HasSubstr("--tls-key: "));
}

}  // namespace
}  // namespace cytopress
