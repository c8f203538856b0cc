#!/bin/sh
# Puts ONNX Runtime for Node.js into the folder $1, unless it is there already. Its postinstall script,
# which would fetch GPU libraries, is not run. Says so and succeeds where that is not possible: the
# tests and the benchmark that want it then skip it.
set -u
source="$(cd "$(dirname "$0")" && pwd)"
folder="$1"

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "ONNX Runtime: not installed, there is no node or npm (Node.js 18 or later)"
  exit 0
fi
if cmp -s "$source/package-lock.json" "$folder/installed-lock.json"; then
  echo "ONNX Runtime: already in $folder"
  exit 0
fi
mkdir -p "$folder" || exit 1
cp "$source/package.json" "$source/package-lock.json" "$folder/" || exit 1
if ! timeout 240 npm ci --fetch-timeout=60000 --fetch-retries=1 --ignore-scripts --no-audit --no-fund \
    --prefix "$folder" >"$folder/install.log" 2>&1; then
  # What it has left would be taken for the whole.
  rm -rf "$folder/node_modules" "$folder/installed-lock.json"
  echo "ONNX Runtime: not installed, npm failed or took 240 s (no registry?); $folder/install.log has more"
  exit 0
fi
# Of the binaries of all systems, only this one's can be loaded.
for system in darwin win32; do
  rm -rf "$folder"/node_modules/onnxruntime-node/bin/*/"$system"
done
cp "$source/package-lock.json" "$folder/installed-lock.json"
echo "ONNX Runtime: installed in $folder"
