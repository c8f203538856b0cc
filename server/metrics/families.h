// Metrics whose values are known when they are collected, built by hand.
#ifndef CYTOPRESS_SERVER_METRICS_FAMILIES_H_
#define CYTOPRESS_SERVER_METRICS_FAMILIES_H_

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace cytopress {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Thread-compatible.
class GaugeFamily {
 public:
  GaugeFamily(std::string name, std::string help) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = prometheus::MetricType::Gauge;
  }

  void Add(double value, const Labels& labels = {}) {
    prometheus::ClientMetric metric;
    for (const auto& [name, label] : labels) metric.label.push_back({name, label});
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }

  prometheus::MetricFamily Take() && { return std::move(family_); }

 private:
  prometheus::MetricFamily family_;
};

inline prometheus::MetricFamily CounterFamily(std::string name, std::string help, double value) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Counter;
  family.metric.emplace_back();
  family.metric.back().counter.value = value;
  return family;
}

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_FAMILIES_H_
