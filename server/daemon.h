// cytopressd as an object: everything that runs in the process, wired together.
#ifndef CYTOPRESS_SERVER_DAEMON_H_
#define CYTOPRESS_SERVER_DAEMON_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "core/registry/model_registry.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/model_loader.h"
#include "server/dataset_check.h"
#include "server/grpc_server.h"

namespace cytopress {

struct DaemonOptions {
  GrpcServerOptions grpc;
  std::string metrics_listen = "127.0.0.1:9108";
  std::string state_folder;
  std::string models_folder;  // empty: <state_folder>/models
  std::string zoo_folder;     // ready-made models for a registry without any (zoo.h); empty: none
  std::string database_url;   // empty: <state_folder>/jobs.db

  // Local workers.
  int workers = 1;
  std::string worker_program;
  std::string device = "cpu";
  std::vector<int> worker_cores;  // empty: those that the process may use
  // Another one for a disk that hangs, in tests.
  std::function<std::string(const std::string& path)> look_at_dataset = WhatIsWrongWithDataset;

  // Inference.
  std::string default_model;
  // How often a default model that cannot be loaded is looked at for another version.
  absl::Duration look_for_default_model = absl::Seconds(10);
  // Batches of a model that are computed at the same time; the threads share its weights.
  int engines = 1;
  int engine_threads = 1;                    // that one engine computes with
  bool bf16 = false;                         // in place of FP32, where the CPU has it
  EngineFactory make_engine = CreateEngine;  // another one for another device
  ClassifyPipelineOptions serving;
  // Of all streams together, read and not answered (ClassifyStreams).
  int64_t max_stream_bytes = int64_t{256} << 20;

  absl::Duration file_patience = absl::Seconds(60);  // FilePlaces
  absl::Duration drain_patience = absl::Seconds(8);
  std::string ready_file;  // empty: none
  // Called when all is done but for the ready file, after which others may act; may be null.
  std::function<void()> on_serving;
  // Called at the end, before each thing that it waits for; may be null.
  std::function<void(const char* what)> on_awaiting;
};

// Thread-compatible. Order of the life: Start, then Shutdown (or destruction).
class Daemon {
 public:
  // When it returns, the ports are open and the default model, if one is given and published, is
  // loaded and has classified an image; health says SERVING and the ready file is there. A default
  // model that cannot be loaded leaves the inference service at NOT_SERVING, though it answers for
  // other models, until another version of it has been loaded, or it is gone.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const DaemonOptions& options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Health says NOT_SERVING; what was admitted is answered, as far as drain_patience reaches;
  // streams end; workers give their jobs back. Idempotent.
  void Shutdown();
  // What Shutdown and destruction take at most, unless a disk or a database hangs: they wait for
  // those.
  absl::Duration shutdown_patience() const;

  int port() const;  // of a Unix socket, it means nothing
  int metrics_port() const;

 private:
  struct Parts;

  explicit Daemon(const DaemonOptions& options);
  absl::Status Open();
  absl::Status MakeFolders() const;
  void OfferReadyMadeModels();
  absl::Status StartServing();
  void MakeServices();
  absl::Status StartMetrics();
  void WarnOfOpenPorts() const;
  absl::Status StartGrpc();
  void TellOfCertificate();
  void OnDeleted(const ModelVersion& model);
  void WarmUp();
  // Where it listens, with the port that it took.
  std::string Address() const;
  absl::Status WriteReadyFile();
  void Await(const char* what) const;
  // How long calls may take to end: as those of gRPC's own services hold up the end as well, no
  // longer than ours need.
  absl::Duration PatienceWithCalls(absl::Duration spent) const;

  const DaemonOptions options_;
  // Built by Open and StartServing in the order of their declaration, taken apart in reverse.
  std::unique_ptr<Parts> parts_;
  bool shut_down_ = false;
  bool wrote_ready_file_ = false;
  bool serves_ = false;  // it has said so
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_DAEMON_H_
