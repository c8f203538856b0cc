#include "server/metrics/request_metrics.h"

#include <google/protobuf/descriptor.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "cytopress/v1/jobs.grpc.pb.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "server/metrics/buckets.h"

namespace cytopress {
namespace {

constexpr const char* kServices[] = {v1::InferenceService::service_full_name(),
                                     v1::JobService::service_full_name(),
                                     v1::ModelService::service_full_name()};

// OK, and what counts against the objective of Classify: deploy/prometheus/rules/recording.yml.
constexpr absl::StatusCode kCodesFromTheStart[] = {absl::StatusCode::kOk,
                                                   absl::StatusCode::kUnknown,
                                                   absl::StatusCode::kDeadlineExceeded,
                                                   absl::StatusCode::kResourceExhausted,
                                                   absl::StatusCode::kFailedPrecondition,
                                                   absl::StatusCode::kInternal,
                                                   absl::StatusCode::kUnavailable,
                                                   absl::StatusCode::kDataLoss};

// As server/status.h has put it into the details; gRPC's own errors have none.
google::rpc::Status RichStatus(const grpc::Status& status) {
  google::rpc::Status rich;
  if (rich.ParseFromString(status.error_details()) && rich.code() == status.error_code()) {
    return rich;
  }
  rich.Clear();
  rich.set_code(status.error_code());
  rich.set_message(status.error_message());
  return rich;
}

// Whether it is worth reading the details for FaultLog: a busy server refuses thousands a second.
bool MayBeFault(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    default:
      return absl::StrContains(status.error_details(), kDiskFull);
  }
}

class RequestObserver : public grpc::experimental::Interceptor {
 public:
  RequestObserver(std::string method, RequestMetrics* metrics)
      : method_(std::move(method)), metrics_(metrics), start_(metrics->clock()->Steady()) {
    metrics_->OnCallOpen();
  }
  ~RequestObserver() override { metrics_->OnCallGone(); }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      metrics_->Observe(method_, methods->GetSendStatus(), metrics_->clock()->Steady() - start_);
    }
    methods->Proceed();
  }

 private:
  const std::string method_;
  RequestMetrics* const metrics_;
  const absl::Duration start_;
};

}  // namespace

absl::string_view CodeName(int code) {
  static const auto* const names = [] {
    auto* const all = new std::map<int, std::string>;
    for (int i = 0; i <= static_cast<int>(absl::StatusCode::kUnauthenticated); ++i) {
      (*all)[i] = absl::StatusCodeToString(static_cast<absl::StatusCode>(i));
    }
    return all;
  }();
  const auto it = names->find(code);
  return it == names->end() ? "UNKNOWN" : absl::string_view(it->second);
}

RequestMetrics::RequestMetrics(prometheus::Registry* registry, Clock* clock)
    : clock_(clock),
      faults_(clock),
      requests_(prometheus::BuildCounter()
                    .Name("cytopress_requests_total")
                    .Help("RPCs that have ended")
                    .Register(*registry)),
      seconds_(prometheus::BuildHistogram()
                   .Name("cytopress_request_seconds")
                   .Help("From an RPC's arrival to the end of its answer")
                   .Register(*registry)),
      messages_(prometheus::BuildCounter()
                    .Name("cytopress_stream_messages_total")
                    .Help("Messages of a ClassifyStream that were answered, by their own code")
                    .Register(*registry)) {
  // From the start, so that the first errors are a change and not the birth of a series, in which
  // Prometheus' rate() sees nothing: a server that fails from its first request on would look
  // sound.
  absl::MutexLock lock(&mutex_);
  for (const absl::StatusCode code : kCodesFromTheStart) {
    for (const char* method : {"Classify", "ClassifyStream"}) {
      Count(method, static_cast<int>(code));
    }
    messages_.Add({{"code", std::string(CodeName(static_cast<int>(code)))}});
  }
}

prometheus::Counter& RequestMetrics::Count(const std::string& method, int code) {
  prometheus::Counter*& known = counters_[{method, code}];
  if (known == nullptr) {
    known = &requests_.Add({{"method", method}, {"code", std::string(CodeName(code))}});
  }
  return *known;
}

void RequestMetrics::ObserveStreamMessage(const google::rpc::Status& status) {
  // Looks the series up; a message holds many images, and the codes are few.
  messages_.Add({{"code", std::string(CodeName(status.code()))}}).Increment();
  faults_.Note("ClassifyStream", status);
}

void RequestMetrics::Observe(const std::string& method, const grpc::Status& status,
                             absl::Duration duration) {
  prometheus::Counter* counter;
  prometheus::Histogram* histogram;
  {
    absl::MutexLock lock(&mutex_);
    counter = &Count(method, status.error_code());
    prometheus::Histogram*& known_histogram = histograms_[method];
    if (known_histogram == nullptr) {
      known_histogram = &seconds_.Add({{"method", method}}, LatencyBuckets());
    }
    histogram = known_histogram;
  }
  counter->Increment();
  histogram->Observe(absl::ToDoubleSeconds(duration));
  if (MayBeFault(status)) faults_.Note(method, RichStatus(status));
}

RequestMetricsInterceptors::RequestMetricsInterceptors(RequestMetrics* metrics)
    : metrics_(metrics) {
  for (const char* name : kServices) {
    const google::protobuf::ServiceDescriptor* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string& method = service->method(i)->name();
      method_by_path_[absl::StrCat("/", name, "/", method)] = method;
    }
  }
}

grpc::experimental::Interceptor* RequestMetricsInterceptors::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  // It is asked for methods that no service has, too.
  const auto method = method_by_path_.find(absl::string_view(info->method()));
  if (method == method_by_path_.end()) return nullptr;
  return new RequestObserver(method->second, metrics_);
}

}  // namespace cytopress
