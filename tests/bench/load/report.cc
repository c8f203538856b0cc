#include "tests/bench/load/report.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cytopress {
namespace {

// The smallest latency that a share `q` of all are not above. REQUIRES: sorted, not empty.
double Percentile(const std::vector<double>& sorted, double q) {
  const auto rank = static_cast<int64_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::clamp<int64_t>(rank - 1, 0, static_cast<int64_t>(sorted.size()) - 1)];
}

}  // namespace

LoadReport Summarize(const LoadResult& result, int images_a_request) {
  LoadReport report;
  report.requests = static_cast<int64_t>(result.requests.size());
  report.requests_per_second = static_cast<double>(report.requests) / result.seconds;
  std::vector<double> accepted;
  int64_t ok = 0;
  for (const LoadResult::Request& request : result.requests) {
    ++report.by_code[absl::StatusCodeToString(static_cast<absl::StatusCode>(request.code))];
    if (request.code == grpc::StatusCode::OK) ++ok;
    if (request.code == grpc::StatusCode::OK ||
        request.code == grpc::StatusCode::DEADLINE_EXCEEDED) {
      accepted.push_back(request.seconds);
    }
  }
  report.images_per_second = static_cast<double>(ok * images_a_request) / result.seconds;
  if (accepted.empty()) return report;
  std::sort(accepted.begin(), accepted.end());
  report.mean =
      std::accumulate(accepted.begin(), accepted.end(), 0.0) / static_cast<double>(accepted.size());
  report.percentiles = {{"p50", Percentile(accepted, 0.5)},
                        {"p90", Percentile(accepted, 0.9)},
                        {"p99", Percentile(accepted, 0.99)},
                        {"p99.9", Percentile(accepted, 0.999)},
                        {"max", accepted.back()}};
  return report;
}

std::string AsTable(const LoadReport& report) {
  std::string text =
      absl::StrFormat("%d requests (%.0f/s), %.1f images/s answered in time\n", report.requests,
                      report.requests_per_second, report.images_per_second);
  for (const auto& [code, count] : report.by_code) {
    absl::StrAppendFormat(&text, "  %-20s %9d\n", code, count);
  }
  absl::StrAppendFormat(&text, "latency of those accepted, ms: mean %.2f", report.mean * 1e3);
  for (const char* name : {"p50", "p90", "p99", "p99.9", "max"}) {
    const auto it = report.percentiles.find(name);
    if (it == report.percentiles.end()) continue;
    absl::StrAppendFormat(&text, "  %s %.2f", name, it->second * 1e3);
  }
  text += "\n";
  if (report.cpu_seconds_per_request.has_value()) {
    absl::StrAppendFormat(&text, "server CPU a request: %.1f us\n",
                          *report.cpu_seconds_per_request * 1e6);
  }
  if (report.cpu_seconds_per_image.has_value()) {
    absl::StrAppendFormat(&text, "server CPU an image: %.1f us",
                          *report.cpu_seconds_per_image * 1e6);
    if (report.cpu_seconds_per_image_beside_engine.has_value()) {
      absl::StrAppendFormat(&text, ", beside the engine %.1f us",
                            *report.cpu_seconds_per_image_beside_engine * 1e6);
    }
    text += "\n";
  }
  if (report.resident_bytes.has_value()) {
    absl::StrAppendFormat(&text, "server memory: %.1f MB\n",
                          static_cast<double>(*report.resident_bytes) * 1e-6);
  }
  if (report.swaps.has_value())
    absl::StrAppendFormat(&text, "versions published: %d\n", *report.swaps);
  return text;
}

std::string AsJson(const LoadReport& report) {
  nlohmann::json json = {{"requests", report.requests},
                         {"requests_per_second", report.requests_per_second},
                         {"goodput_images_per_second", report.images_per_second},
                         {"by_code", report.by_code},
                         {"latency_mean_seconds", report.mean},
                         {"latency_seconds", report.percentiles}};
  const auto put = [&json](const char* name, const auto& value) {
    if (value.has_value()) json[name] = *value;
  };
  put("server_cpu_seconds_per_request", report.cpu_seconds_per_request);
  put("server_cpu_seconds_per_image", report.cpu_seconds_per_image);
  put("server_cpu_seconds_per_image_beside_engine", report.cpu_seconds_per_image_beside_engine);
  put("server_resident_bytes", report.resident_bytes);
  put("swaps", report.swaps);
  return json.dump(2) + "\n";
}

}  // namespace cytopress
