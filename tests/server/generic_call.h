// Calls of services whose generated code is not at hand.
#ifndef CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_
#define CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

namespace cytopress {

// Sends one message to `method`, as "/package.Service/Method", and takes one message.
grpc::Status CallGeneric(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                         const std::string& request, std::string* response);

// "SERVING", "NOT_SERVING" or the error's code.
std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

// A Watch of the server's health that has had its first answer and stays open.
class HealthWatch {
 public:
  explicit HealthWatch(const std::shared_ptr<grpc::Channel>& channel);
  ~HealthWatch();

 private:
  bool Wait();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer answer_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_
