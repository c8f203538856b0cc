#include "tests/bench/load/server_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cytopress {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char buffer[1 << 14];
    ssize_t bytes;
    while ((bytes = recv(fd, buffer, sizeof(buffer), 0)) > 0) answer.append(buffer, bytes);
  }
  close(fd);
  return answer;
}

}  // namespace

absl::StatusOr<ProcessCost> CostOfProcess(int pid) {
  const std::string stat = Read(absl::StrCat("/proc/", pid, "/stat"));
  const std::string statm = Read(absl::StrCat("/proc/", pid, "/statm"));
  // The program's name, in parentheses, may have blanks; utime is the twelfth value after it.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return absl::NotFoundError(absl::StrCat("there is no process ", pid));
  }
  const std::vector<std::string> values = absl::StrSplit(stat.substr(name_end + 2), ' ');
  const std::vector<std::string> pages = absl::StrSplit(statm, ' ');
  int64_t user = 0, system = 0, resident = 0;
  if (values.size() < 13 || pages.size() < 2 || !absl::SimpleAtoi(values[11], &user) ||
      !absl::SimpleAtoi(values[12], &system) || !absl::SimpleAtoi(pages[1], &resident)) {
    return absl::InternalError(absl::StrCat("cannot read /proc/", pid, "/stat"));
  }
  ProcessCost cost;
  cost.cpu_seconds = static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  cost.resident_bytes = resident * sysconf(_SC_PAGESIZE);
  return cost;
}

absl::StatusOr<double> EngineCpuSeconds(int metrics_port) {
  const std::string text = HttpGet(metrics_port, "/metrics");
  if (text.empty()) {
    return absl::UnavailableError(absl::StrCat("no metrics on port ", metrics_port));
  }
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    if (!absl::StartsWith(line, "cytopress_classify_engine_cpu_seconds_total{")) continue;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

}  // namespace cytopress
