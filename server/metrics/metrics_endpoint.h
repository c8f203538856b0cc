// The HTTP port that Prometheus scrapes: GET /metrics and nothing else.
#ifndef CYTOPRESS_SERVER_METRICS_METRICS_ENDPOINT_H_
#define CYTOPRESS_SERVER_METRICS_METRICS_ENDPOINT_H_

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cytopress {

// Thread-compatible; the sources are asked on threads of its own.
class MetricsEndpoint {
 public:
  // `listen` is "host:port"; port 0 takes a free one. UNAVAILABLE when it cannot listen there.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const std::string& listen, std::vector<std::shared_ptr<prometheus::Collectable>> sources);

  ~MetricsEndpoint();

  int port() const { return port_; }

 private:
  MetricsEndpoint() = default;

  std::vector<std::shared_ptr<prometheus::Collectable>> sources_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  int port_ = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_METRICS_ENDPOINT_H_
