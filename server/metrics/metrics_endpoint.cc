#include "server/metrics/metrics_endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/steady_notification.h"

namespace cytopress {
namespace {

// Connects to `port` of this machine and hangs up.
void Knock(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Whether it succeeds does not matter.
  (void)!connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  close(fd);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& listen, std::vector<std::shared_ptr<prometheus::Collectable>> sources) {
  std::unique_ptr<MetricsEndpoint> endpoint(new MetricsEndpoint());
  endpoint->sources_ = std::move(sources);
  try {
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(listen, /*num_threads=*/2);
    for (const std::shared_ptr<prometheus::Collectable>& source : endpoint->sources_) {
      endpoint->exposer_->RegisterCollectable(source);
    }
    const std::vector<int> ports = endpoint->exposer_->GetListeningPorts();
    if (!ports.empty()) endpoint->port_ = ports[0];
  } catch (const std::exception&) {
    // What it says is of the HTTP server's inside.
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics on ", listen,
                     "; is the port taken, or the host not this machine's? (--metrics-listen)"));
  }
  return endpoint;
}

MetricsEndpoint::~MetricsEndpoint() {
  if (exposer_ == nullptr) return;
  // The listening thread of the HTTP server looks whether it should end every two seconds, or
  // after a connection.
  SteadyNotification stopped;
  std::thread stop([&] {
    exposer_.reset();
    stopped.Notify();
  });
  do {
    Knock(port_);
  } while (!stopped.WaitFor(absl::Milliseconds(10)));
  stop.join();
}

}  // namespace cytopress
