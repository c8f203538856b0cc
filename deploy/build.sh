#!/bin/bash
# Configures and builds the preset `release` into build/release.
#
#   deploy/build.sh [--tests] [TARGET...]     --tests: with the tests; no target: everything
#
# The tests are switched on once and stay on: switching changes no compiler flag, so nothing that is
# built is built again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One compiler for each core, but each may take 2 GB for the files that include LibTorch.
parallel_jobs() {
  local cores memory_gb
  cores="$(nproc)"
  memory_gb="$(awk '/^MemAvailable:/ { print int($2 / 1000000) }' /proc/meminfo)"
  local by_memory=$((memory_gb / 2))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

configure=(cmake --preset release --log-level=WARNING)
if [[ "${1:-}" == --tests ]]; then
  configure+=(-DCYTOPRESS_TESTS=ON)
  shift
elif [[ ! -f build/release/CMakeCache.txt ]]; then
  configure+=(-DCYTOPRESS_TESTS=OFF)  # the packages of the tests may not be there
fi
"${configure[@]}"

build=(cmake --build --preset release --parallel "$(parallel_jobs)")
(($# == 0)) || build+=(--target "$@")
"${build[@]}"
