// cytopress.v1.InferenceService over a ClassifyPipeline.
#ifndef CYTOPRESS_SERVER_INFERENCE_SERVICE_H_
#define CYTOPRESS_SERVER_INFERENCE_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>

#include "absl/status/status.h"
#include "core/serving/classify_pipeline.h"
#include "cytopress/v1/inference.grpc.pb.h"
#include "server/classify_stream_reactor.h"
#include "server/metrics/request_metrics.h"

namespace cytopress {

// Thread-safe: gRPC calls it on many threads.
class InferenceService : public v1::InferenceService::WithCallbackMethod_Classify<
                             v1::InferenceService::WithRawCallbackMethod_ClassifyStream<
                                 v1::InferenceService::Service>> {
 public:
  // All must outlive the service. `max_stream_bytes`: see ClassifyStreams.
  InferenceService(int64_t max_stream_bytes, ClassifyPipeline* pipeline, ServingObserver* observer,
                   RequestMetrics* metrics)
      : pipeline_(pipeline), metrics_(metrics), streams_(max_stream_bytes, observer) {}

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* response) override;

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ClassifyStream(
      grpc::CallbackServerContext* context) override;

  // Ends the streams once what was read of them is answered.
  void StopStreams() { streams_.Stop(); }

 private:
  ClassifyPipeline* const pipeline_;
  RequestMetrics* const metrics_;
  ClassifyStreams streams_;
};

// What can be known to be wrong without decoding an image: INVALID_ARGUMENT with the fields.
absl::Status CheckClassifyRequest(const v1::ClassifyRequest& request);

// The images of the task are those of the request. Deadline and callbacks are left open.
ClassifyTask ToClassifyTask(const v1::ClassifyRequest& request);

// The `top_k` most probable classes of each image (0: one, -1: all); of equally probable ones the
// lower index first. OUT_OF_MEMORY, and an empty response, when there is none for it.
absl::Status FillClassifyResponse(const ClassifyOutcome& outcome, int top_k,
                                  v1::ClassifyResponse* response);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_INFERENCE_SERVICE_H_
