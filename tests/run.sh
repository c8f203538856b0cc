#!/bin/bash
# Everything from nothing to tested: packages, build, all tests.
#
#   tests/run.sh [CTEST ARGUMENT...]     for example: tests/run.sh -R job_store
#
# CYTOPRESS_DATASET names a MedMNIST .npz for the tests that look at real images; they are skipped
# without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/install.sh build test
bash deploy/build.sh --tests
# One test at a time: many of them use all cores, and some measure what happens under a deadline.
exec ctest --preset release "$@"
