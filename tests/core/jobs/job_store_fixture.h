// One suite for every backend of the job store.
#ifndef CYTOPRESS_TESTS_CORE_JOBS_JOB_STORE_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_JOBS_JOB_STORE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/jobs/job_store.h"
#include "tests/core/jobs/postgres_server.h"
#include "tests/fake_clock.h"
#include "tests/temporary_folder.h"

namespace cytopress {

inline constexpr absl::Duration kLease = absl::Seconds(30);

struct Backend {
  std::string name;
  // A URL of a database that is not there yet, within `folder`.
  std::string (*new_database)(const std::string& folder);
};

inline std::string NewSqliteDatabase(const std::string& folder) {
  return absl::StrCat("sqlite://", folder, "/jobs.db");
}

inline v1::JobSpec SomeSpec(const std::string& model = "blood") {
  v1::JobSpec spec;
  spec.set_model_name(model);
  spec.mutable_dataset()->set_uri("synthetic");
  spec.mutable_recipe()->mutable_prune()->set_sparsity(0.5);
  return spec;
}

class JobStoreTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    url_ = GetParam().new_database(folder_);
    store_ = Open();
  }
  void TearDown() override { store_.reset(); }

  // Another process's view of the same database.
  std::unique_ptr<JobStore> Open() {
    absl::StatusOr<std::unique_ptr<JobStore>> store = OpenJobStore(url_, &clock_, options_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  std::string Submit(const v1::JobSpec& spec = SomeSpec()) {
    absl::StatusOr<v1::Job> job = store_->Submit(spec, "");
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->id() : "";
  }

  v1::Job Get(const std::string& id) {
    absl::StatusOr<v1::Job> job = store_->Get(id);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *std::move(job) : v1::Job();
  }

  v1::JobState StateOf(const std::string& id) { return Get(id).state(); }

  // REQUIRES: a job is queued.
  Lease Acquire(const std::string& worker = "w1", const std::string& device = "cpu") {
    absl::StatusOr<std::optional<LeasedJob>> leased = store_->AcquireLease(worker, device, kLease);
    EXPECT_TRUE(leased.ok()) << leased.status();
    if (!leased.ok() || !leased->has_value()) {
      ADD_FAILURE() << "no job to lease";
      return Lease();
    }
    return (**leased).lease;
  }

  Lease AcquireAndStart(const std::string& worker = "w1") {
    const Lease lease = Acquire(worker);
    EXPECT_EQ(store_->Start(lease), absl::OkStatus());
    return lease;
  }

  FakeClock clock_;
  JobStoreOptions options_;
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("state");  // not there yet
  std::string url_;
  std::unique_ptr<JobStore> store_;
};

inline testing::internal::ParamGenerator<Backend> Backends() {
#ifdef CYTOPRESS_TEST_POSTGRES
  return testing::Values(Backend{"sqlite", NewSqliteDatabase},
                         Backend{"postgresql", NewPostgresDatabase});
#else
  return testing::Values(Backend{"sqlite", NewSqliteDatabase});
#endif
}

inline std::string BackendName(const testing::TestParamInfo<Backend>& info) {
  return info.param.name;
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_JOBS_JOB_STORE_FIXTURE_H_
