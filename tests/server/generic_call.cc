#include "tests/server/generic_call.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

grpc::Status CallGeneric(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                         const std::string& request, std::string* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareCall(&context, method, &queue);
  grpc::ByteBuffer answer;
  grpc::Status status;
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  wait();
  call->Write(ToBuffer(request), nullptr);
  wait();
  call->Read(&answer, nullptr);
  if (wait()) *response = ToString(answer);
  call->WritesDone(nullptr);
  wait();
  call->Finish(&status, nullptr);
  wait();
  return status;
}

std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  // HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1}.
  const std::string request =
      service.empty() ? "" : absl::StrCat("\n", std::string(1, char(service.size())), service);
  std::string response;
  const grpc::Status status =
      CallGeneric(channel, "/grpc.health.v1.Health/Check", request, &response);
  if (!status.ok()) return absl::StrCat(static_cast<int>(status.error_code()));
  if (response == "\x08\x01") return "SERVING";
  return response == "\x08\x02" ? "NOT_SERVING" : response;
}

HealthWatch::HealthWatch(const std::shared_ptr<grpc::Channel>& channel) {
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  call_ =
      grpc::GenericStub(channel).PrepareCall(&context_, "/grpc.health.v1.Health/Watch", &queue_);
  call_->StartCall(nullptr);
  EXPECT_TRUE(Wait());
  call_->Write(ToBuffer(""), nullptr);
  EXPECT_TRUE(Wait());
  call_->Read(&answer_, nullptr);
  EXPECT_TRUE(Wait());
}

HealthWatch::~HealthWatch() {
  context_.TryCancel();
  grpc::Status status;
  call_->Finish(&status, nullptr);
  Wait();
}

bool HealthWatch::Wait() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

}  // namespace cytopress
