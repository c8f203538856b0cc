#include "server/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include "server/metrics/families.h"

namespace cytopress {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                               absl::DurationFromTimeval(usage.ru_stime));
}

}  // namespace

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  GaugeFamily memory("process_resident_memory_bytes", "Memory of the process that is in RAM");
  memory.Add(static_cast<double>(ResidentBytes()));
  GaugeFamily start("process_start_time_seconds", "When the process started, in Unix time");
  start.Add(absl::ToDoubleSeconds(started_ - absl::UnixEpoch()));
  GaugeFamily build("cytopress_build_info", "The release that runs");
  build.Add(1, {{"version", version_}});
  std::vector<prometheus::MetricFamily> families;
  families.push_back(std::move(memory).Take());
  families.push_back(std::move(start).Take());
  families.push_back(std::move(build).Take());
  families.push_back(CounterFamily("process_cpu_seconds_total",
                                   "Processor time of the process, user and system", CpuSeconds()));
  return families;
}

}  // namespace cytopress
