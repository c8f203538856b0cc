#!/bin/bash
# Everything from nothing to tested: packages, build, all tests.
#
#   tests/run.sh [CTEST ARGUMENT...]     for example: tests/run.sh -R job_store
#
# CYTOPRESS_DATASET names a MedMNIST .npz for the tests that look at real images; they are skipped
# without it. CYTOPRESS_ONNX_MODEL names a .cyp made from it, for a comparison with ONNX Runtime, which
# is skipped without either. CYTOPRESS_SAMPLE_REPORT names a file to which the tests of reports write one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/install.sh build test
bash deploy/build.sh --tests
# Most tests have the machine for themselves: many use all cores, and some measure what happens under a
# deadline. The others run side by side, one a core.
export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$(nproc)}"
exec ctest --preset release "$@"
