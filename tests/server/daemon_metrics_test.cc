// What the whole server tells of itself on the port of metrics.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/artifact/artifact.h"
#include "core/jobs/job_store.h"
#include "tests/eventually.h"
#include "tests/server/daemon_fixture.h"
#include "tests/server/generic_call.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(DaemonTest, MetricsTellOfRequestsModelsAndJobs) {
  Publish("cells");
  Start();
  ClassifyOnce("cells");
  ClassifyOnce("cells");
  MustCompress();
  v1::GetJobRequest missing;
  missing.set_id("nothing");
  v1::Job job;
  jobs_->GetJob(Context().get(), missing, &job);

  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  EXPECT_EQ(MetricValue(text, "cytopress_requests_total{code=\"OK\",method=\"Classify\"}"), 2);
  EXPECT_EQ(MetricValue(text, "cytopress_requests_total{code=\"NOT_FOUND\",method=\"GetJob\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_request_seconds_count{method=\"Compress\"}"), 1);
  const std::string labels = "{model=\"cells\",version=\"1\"}";
  const std::string request = "cytopress_classify_request_seconds_count";
  EXPECT_EQ(MetricValue(text, request + "{call=\"unary\",model=\"cells\",version=\"1\"}"), 2);
  EXPECT_EQ(MetricValue(text, request + "{call=\"stream\",model=\"cells\",version=\"1\"}"), 0);
  for (const char* part : {"queue", "decode", "compute"}) {
    const std::string name = absl::StrCat("cytopress_classify_", part, "_seconds_count");
    EXPECT_EQ(MetricValue(text, name + labels), 2) << name;
  }
  EXPECT_THAT(text, HasSubstr("cytopress_classify_request_seconds_bucket{call=\"unary\",model="
                              "\"cells\",version=\"1\",le=\"0.025\"}"));
  EXPECT_EQ(MetricValue(text, "cytopress_classify_images_total" + labels), 2);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_batch_size_sum" + labels), 2);
  EXPECT_GT(MetricValue(text, "cytopress_classify_engine_cpu_seconds_total" + labels), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_queue_depth"), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_predicted_seconds" + labels), 0);
  EXPECT_GE(MetricValue(text, "cytopress_classify_prediction_margin_ratio"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_model_loaded" + labels), 1);
  EXPECT_EQ(MetricValue(text,
                        "cytopress_model_accuracy_ratio{model=\"cells\",version=\"1\","
                        "split=\"test\"}"),
            0.875);
  EXPECT_EQ(MetricValue(text,
                        "cytopress_model_auc_ratio{model=\"cells\",version=\"1\","
                        "split=\"test\"}"),
            0.9375);
  EXPECT_NEAR(MetricValue(text, "cytopress_model_sparsity_ratio" + labels),
              MeasureSize(*ParseArtifact(TestArtifact()), 0).sparsity(), 1e-6);
  EXPECT_EQ(MetricValue(text, "cytopress_model_disk_bytes" + labels), TestArtifact().size());
  EXPECT_EQ(MetricValue(text, "cytopress_jobs{state=\"queued\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_jobs{state=\"failed\"}"), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_job_queue_depth"), 1);
  EXPECT_GE(MetricValue(text, "cytopress_job_queue_oldest_age_seconds"), 0);
  EXPECT_GT(MetricValue(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(MetricValue(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(MetricValue(text, "process_start_time_seconds"), 1.6e9);
  EXPECT_EQ(MetricValue(text, "cytopress_build_info{version=\"" CYTOPRESS_VERSION "\"}"), 1);
}

TEST_F(DaemonTest, MetricsCountTheStagesThatEndWhileTheServerRuns) {
  // The line that is in the database already is not counted.
  const std::unique_ptr<JobStore> store = [this] {
    std::filesystem::create_directories(folder_);
    return OpenStore();
  }();
  const auto report = [&](const std::string& stage, v1::StageKind kind, double seconds) {
    ASSERT_TRUE(store->Submit(ValidCompress().spec(), "").ok());
    const auto leased = store->AcquireLease("w", "cpu", absl::Seconds(30));
    ASSERT_TRUE(leased.ok() && leased->has_value());
    v1::LedgerEntry line;
    line.set_stage(stage);
    line.set_kind(kind);
    line.set_seconds(seconds);
    line.set_images_per_second(kind == v1::STAGE_KIND_TRAIN ? 123 : 0);
    ASSERT_TRUE(store->Start((*leased)->lease).ok());
    ASSERT_TRUE(store->AppendLedger((*leased)->lease, line).ok());
    ASSERT_TRUE(store->Succeed((*leased)->lease, "cells@1", "").ok());
  };
  report("train", v1::STAGE_KIND_TRAIN, 1000);
  Start();
  ASSERT_TRUE(store->Heartbeat("far-1", "cuda:0", "").ok());
  report("train", v1::STAGE_KIND_TRAIN, 50);
  report("prune", v1::STAGE_KIND_PRUNE, 2);
  report("prune 80 %", v1::STAGE_KIND_PRUNE, 3);
  report("try 2 fine-tune", v1::STAGE_KIND_FINE_TUNE, 4);
  report("try 2", v1::STAGE_KIND_TRY, 5);
  report("blood-s80-int4", v1::STAGE_KIND_CELL, 6);
  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_count{stage=\"train\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"train\"}"), 50);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"prune\"}"), 5);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"fine-tune\"}"), 4);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"try\"}"), 5);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"cell\"}"), 6);
  EXPECT_EQ(MetricValue(text, "cytopress_training_images_per_second{stage=\"train\"}"), 123);
  EXPECT_TRUE(
      std::isnan(MetricValue(text, "cytopress_training_images_per_second{stage=\"prune\"}")));
  EXPECT_EQ(MetricValue(text, "cytopress_worker_up{worker=\"far-1\",device=\"cuda:0\"}"), 1);
}

TEST_F(DaemonTest, TheMetricsPortServesNothingElse) {
  Start();
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/metrics"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/"), HasSubstr("404"));
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/../../etc/passwd"),
              AllOf(HasSubstr("HTTP/1.1 "), Not(HasSubstr("root:"))));
}

TEST_F(DaemonTest, UnknownMethodsMakeNoMetrics) {
  Start();
  std::string response;
  for (const char* method : {"/made.Up/Method", "/cytopress.v1.MadeUp/Method",
                             "/cytopress.v1.JobService/MadeUpMethod"}) {
    EXPECT_EQ(CallGeneric(channel_, method, "", &response).error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/metrics"),
              AllOf(HasSubstr("200 OK"), Not(HasSubstr("Method"))));
}

TEST_F(DaemonTest, ACallThatRunsIntoItsDeadlineIsCountedAsSuch) {
  Start();
  v1::WatchJobRequest request;
  request.set_id(MustCompress().id());
  // A deadline that passes before the call has reached the server is not counted there.
  bool reached = false;
  for (std::chrono::milliseconds limit(300); !reached; limit *= 2) {
    ASSERT_LT(limit.count(), 60000);
    const std::unique_ptr<grpc::ClientContext> context = Context();
    context->set_deadline(std::chrono::system_clock::now() + limit);
    const auto stream = jobs_->WatchJob(context.get(), request);
    v1::WatchJobResponse response;
    while (stream->Read(&response)) reached = true;
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_TRUE(Eventually([this] {
    return MetricValue(
               HttpGet(daemon_->metrics_port(), "/metrics"),
               "cytopress_requests_total{code=\"DEADLINE_EXCEEDED\",method=\"WatchJob\"}") >= 1;
  }));
}

}  // namespace
}  // namespace cytopress
