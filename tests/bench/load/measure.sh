#!/bin/bash
# Measures how cytopressd serves: start, CPU and memory, overload, hot swap. docs/performance.md says
# what came of it.
#
#   tests/bench/load/measure.sh [PART...]       parts: start cpu call memory overload swap; default: all
#
# BIN       where cytopressd and cytopress-load are (build/release/bin)
# NETWORK   resnet18; with random INT4 weights, 5.6 MB
# MODEL     a .cyp file instead of random weights
# SERVER_CORES, LOAD_CORES  cores of either side, for taskset, so that the load does not take the
#           server's processor time
# SECONDS_A_RUN=10  REQUESTS=100000  DEADLINE_MS=200  SWAP_SECONDS=60
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

BIN="${BIN:-build/release/bin}"
NETWORK="${NETWORK:-resnet18}"
SECONDS_A_RUN="${SECONDS_A_RUN:-10}"
REQUESTS="${REQUESTS:-100000}"
DEADLINE_MS="${DEADLINE_MS:-200}"
SWAP_SECONDS="${SWAP_SECONDS:-60}"
PARTS="${*:-start cpu call memory overload swap}"
on_server=(${SERVER_CORES:+taskset -c "$SERVER_CORES"})
on_load=(${LOAD_CORES:+taskset -c "$LOAD_CORES"})

folder="$(mktemp -d)"
server_pid=""
trap '[[ -z "$server_pid" ]] || kill "$server_pid"; wait; rm -rf "$folder"' EXIT

# Of a JSON file: measure.sh's own little jq.
value() { python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("/"):
    value = value.get(key, 0) if isinstance(value, dict) else 0
print(value)' "$1" "$2"; }
calculate() { python3 -c "print($1)"; }

# Sets server_pid, port, metrics_port and start_ms: from the start of the process to the ready file.
start_server() {
  local began ended
  rm -f "$folder/ready.json"
  began="$(date +%s%N)"
  "${on_server[@]}" "$BIN/cytopressd" --zoo "" --state "$folder/state" --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 \
    --workers 0 --default-model cells --inference-threads 1 --decode-threads 1 \
    --log-level warn --ready-file "$folder/ready.json" &
  server_pid=$!
  until [[ -s "$folder/ready.json" ]]; do
    kill -0 "$server_pid"
    sleep 0.002
  done
  ended="$(date +%s%N)"
  start_ms=$(((ended - began) / 1000000))
  port="$(value "$folder/ready.json" port)"
  metrics_port="$(value "$folder/ready.json" metrics_port)"
}

stop_server() {
  kill "$server_pid"
  wait "$server_pid" || true
  server_pid=""
}

load() {
  "${on_load[@]}" "$BIN/cytopress-load" --server "127.0.0.1:$port" --server-pid "$server_pid" \
    --metrics-port "$metrics_port" --model cells --json "$@" >"$folder/load.json"
}

measure_start() {
  local times=()
  for _ in 1 2 3 4 5 6 7; do
    start_server
    times+=("$start_ms")
    stop_server
  done
  echo "start to ready, ms, seven times: $(printf '%s\n' "${times[@]}" | sort -n | tr '\n' ' ')"
}

measure_cpu() {
  start_server
  for in_flight in 1 8 64; do
    load --in-flight "$in_flight" --seconds "$SECONDS_A_RUN"
    echo "closed loop, $in_flight in flight, PNG 28x28:" \
      "$(calculate "round($(value "$folder/load.json" goodput_images_per_second), 1)") images/s;" \
      "p50 $(calculate "round($(value "$folder/load.json" latency_seconds/p50) * 1e3, 2)") ms;" \
      "server CPU an image" \
      "$(calculate "round($(value "$folder/load.json" server_cpu_seconds_per_image) * 1e6, 1)") us," \
      "beside the engine" \
      "$(calculate "round($(value "$folder/load.json" server_cpu_seconds_per_image_beside_engine) * 1e6, 1)") us"
  done
  stop_server
}

measure_call() {
  start_server
  for in_flight in 1 8 64; do
    load --images-a-request 0 --in-flight "$in_flight" --seconds "$SECONDS_A_RUN"
    echo "a call that is refused, $in_flight in flight: server CPU" \
      "$(calculate "round($(value "$folder/load.json" server_cpu_seconds_per_request) * 1e6, 1)") us"
  done
  stop_server
}

measure_memory() {
  start_server
  local done_so_far=0
  while ((done_so_far < REQUESTS)); do
    load --in-flight 8 --seconds "$SECONDS_A_RUN" --warm-up-seconds 0
    done_so_far=$((done_so_far + $(value "$folder/load.json" requests)))
  done
  echo "resident memory after $done_so_far requests:" \
    "$(calculate "round($(value "$folder/load.json" server_resident_bytes) * 1e-6, 1)") MB"
  stop_server
}

measure_overload() {
  start_server
  load --in-flight 64 --seconds "$SECONDS_A_RUN"
  local peak rate
  peak="$(value "$folder/load.json" goodput_images_per_second)"
  echo "peak, closed loop, 64 in flight: $(calculate "round($peak, 1)") images/s"
  for times in 1 2 5; do
    rate="$(calculate "$times * $peak")"
    load --rate "$rate" --connections 4 --deadline-ms "$DEADLINE_MS" --seconds "$SECONDS_A_RUN"
    echo "open loop at $times x peak, deadline $DEADLINE_MS ms: goodput" \
      "$(calculate "round(100 * $(value "$folder/load.json" goodput_images_per_second) / $peak, 1)") %" \
      "of peak; accepted: p50 $(calculate "round($(value "$folder/load.json" latency_seconds/p50) * 1e3, 1)")," \
      "p99 $(calculate "round($(value "$folder/load.json" latency_seconds/p99) * 1e3, 1)") ms;" \
      "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["by_code"])' "$folder/load.json")"
  done
  stop_server
}

measure_swap() {
  start_server
  load --in-flight 4 --seconds "$SWAP_SECONDS" --models "$folder/state/models" --swap-seconds 1
  echo "a new version each second for $SWAP_SECONDS s:" \
    "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["by_code"])' "$folder/load.json")," \
    "$(value "$folder/load.json" swaps) versions;" \
    "p99 $(calculate "round($(value "$folder/load.json" latency_seconds/p99) * 1e3, 1)") ms;" \
    "memory at the end $(calculate "round($(value "$folder/load.json" server_resident_bytes) * 1e-6, 1)") MB"
  stop_server
}

echo "cores: $(nproc); load of the machine before: $(cut -d' ' -f1 /proc/loadavg)"
if [[ -n "${MODEL:-}" ]]; then
  mkdir -p "$folder/state/models/cells"
  cp "$MODEL" "$folder/state/models/cells/1.cyp"
else
  "$BIN/cytopress-load" --publish "$NETWORK" --models "$folder/state/models" --model cells
fi
for part in $PARTS; do "measure_$part"; done
