// Calls of services whose generated code is not at hand.
#ifndef CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_
#define CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

namespace cytopress {

// Sends one message to `method`, as "/package.Service/Method", and takes one message.
grpc::Status CallGeneric(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                         const std::string& request, std::string* response);

// "SERVING", "NOT_SERVING" or the error's code.
std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SERVER_GENERIC_CALL_H_
