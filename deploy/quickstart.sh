#!/bin/bash
# From a bare Debian 12 machine to a compressed classifier that serves: installs, builds, starts the
# service, classifies with a ready-made model, trains and compresses another, classifies with that.
# What is done already is not done again, so a second run takes seconds.
set -euo pipefail

usage() {
  cat <<'END'
deploy/quickstart.sh [OPTIONS]        install, build, start, compress, classify
deploy/quickstart.sh --stop           stop the service that it started

  --dataset DATASET     MedMNIST .npz, folder of images by class, or "synthetic": cells that the
                        program draws. Otherwise $CYTOPRESS_DATASET, otherwise the official
                        BloodMNIST (downloaded once, 35 MB, MD5 checked), otherwise, offline,
                        "synthetic"
  --photos FOLDER       classify these photographs, FOLDER/CLASS/*.png or *.jpg, in place of images
                        of the test split
  --state FOLDER        jobs, models and logs (~/.local/state/cytopress-quickstart)
  --port N              gRPC (8500)
  --metrics-port N      Prometheus metrics over HTTP (9108)
  --retrain             make a new model although there is one
  --help                this

Environment: CYTOPRESS_DATASET, XDG_STATE_HOME, XDG_CACHE_HOME.
END
}

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
bin="$root/build/release/bin"
readonly root bin

# About four minutes of training on two cores.
readonly recipe=(--recipe quick --stem imagenet --max-images 6000)

readonly bloodmnist_url=https://zenodo.org/records/10519652/files/bloodmnist.npz
readonly bloodmnist_md5=7053d0359d879ad8a5505303e11de1dc

state="${XDG_STATE_HOME:-$HOME/.local/state}/cytopress-quickstart"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/cytopress"
dataset="${CYTOPRESS_DATASET:-}"
photos=
port=8500
metrics_port=9108
retrain=no
stop=no

say() { printf '\n== %s  [%d:%02d]\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

fail() {
  echo "quickstart.sh: $*" >&2
  exit 1
}

# The photographs in its arguments, each the folder of a class.
photos_in() {
  find "$@" -maxdepth 1 -type f \( -iname '*.png' -o -iname '*.jpg' -o -iname '*.jpeg' \) 2>/dev/null | sort
}

parse_flags() {
  while (($# > 0)); do
    case "$1" in
      --dataset | --photos | --state | --port | --metrics-port)
        (($# > 1)) || fail "$1 needs a value (see --help)"
        printf -v "$(tr - _ <<<"${1#--}")" '%s' "$2"
        shift
        ;;
      --retrain) retrain=yes ;;
      --stop) stop=yes ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) fail "unknown option $1 (see --help)" ;;
    esac
    shift
  done
  state="$(realpath -m -- "$state")"
  [[ -z "$photos" || -n "$(photos_in "$photos"/*/)" ]] ||
    fail "--photos $photos: there is no photograph by class there; give a FOLDER with FOLDER/CLASS/*.png or *.jpg"
}

# --- the service ---------------------------------------------------------------------------------

ready_value() { sed -n "s/.*\"$1\"[^0-9]*\([0-9][0-9]*\).*/\1/p" "$state/ready.json" 2>/dev/null | head -n 1 || true; }

# Prints the id of the process that this script started, if it still runs.
service_pid() {
  local pid
  pid="$(ready_value pid)"
  [[ -n "$pid" && "$(readlink "/proc/$pid/exe" 2>/dev/null)" == */cytopressd* ]] && echo "$pid"
}

client() { "$bin/cytopress" --server "127.0.0.1:$(ready_value port)" "$@"; }

stop_service() {
  local pid
  pid="$(service_pid)" || return 1
  kill "$pid"
  for _ in $(seq 300); do
    [[ -d "/proc/$pid" ]] || break
    sleep 0.1
  done
  [[ ! -d "/proc/$pid" ]] || fail "process $pid does not end; see $state/cytopressd.log"
  rm -f "$state/ready.json"
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_service() {
  local pid
  if pid="$(service_pid)"; then
    # A program that was built anew since then is shown as deleted.
    if [[ "$(readlink "/proc/$pid/exe")" == "$bin/cytopressd" ]] && client models >/dev/null 2>&1; then
      echo "cytopressd is running already (process $pid)"
      return
    fi
    stop_service
  fi
  for used in "$port" "$metrics_port"; do
    [[ "$used" == 0 ]] || ! port_in_use "$used" ||
      fail "port $used is taken by another program; choose others with --port and --metrics-port (0 = any)"
  done
  rm -f "$state/ready.json"
  # In a session of its own: Ctrl-C here does not reach it.
  setsid "$bin/cytopressd" --listen "127.0.0.1:$port" --metrics-listen "127.0.0.1:$metrics_port" \
    --state "$state/data" --ready-file "$state/ready.json" \
    --workers 1 --worker-binary "$bin/cytopress-worker" \
    </dev/null >>"$state/cytopressd.log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do
    [[ -s "$state/ready.json" ]] && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if ! service_pid >/dev/null; then
    kill "$pid" 2>/dev/null || true  # it may only be slow
    tail -n 20 "$state/cytopressd.log" >&2
    fail "cytopressd did not start; its log is $state/cytopressd.log"
  fi
  echo "cytopressd runs as process $(service_pid), log $state/cytopressd.log"
}

# --- the data ------------------------------------------------------------------------------------

has_bloodmnist_md5() { [[ -f "$1" ]] && md5sum --status -c <<<"$bloodmnist_md5  $1"; }

download_bloodmnist() {
  local file="$cache/bloodmnist.npz"
  has_bloodmnist_md5 "$file" && return
  command -v curl >/dev/null || return
  mkdir -p "$cache"
  echo "downloading BloodMNIST from $bloodmnist_url"
  curl --fail --location --silent --show-error --connect-timeout 5 --speed-limit 20000 \
    --speed-time 15 --max-time 300 --output "$file.part" "$bloodmnist_url" || return
  has_bloodmnist_md5 "$file.part" || {
    echo "what came is not BloodMNIST: its MD5 is not $bloodmnist_md5" >&2
    rm -f "$file.part"
    return 1
  }
  mv "$file.part" "$file"
}

choose_dataset() {
  if [[ -n "$dataset" ]]; then
    [[ -e "$dataset" || "$dataset" == synthetic* ]] || fail "there is no data set $dataset"
  elif download_bloodmnist; then
    dataset="$cache/bloodmnist.npz"
  else
    echo "no data set was given, and none could be downloaded"
    dataset=synthetic
  fi
  [[ ! -e "$dataset" ]] || dataset="$(realpath -- "$dataset")"
  if [[ "$dataset" == synthetic* ]]; then
    cat <<'END'
***********************************************************************************************
*  SYNTHETIC DATA: the cells are drawn by the program. Everything below shows how it works; no *
*  figure says anything about real cells                                                       *
***********************************************************************************************
END
  else
    echo "data set: $dataset"
  fi
}

model_name() { [[ "$dataset" == synthetic* ]] && echo quickstart-synthetic || echo quickstart; }

# --- the job -------------------------------------------------------------------------------------

# Of a file, or of all files of a folder; nothing of "synthetic".
sizes_and_times() { { find -L "$1" -type f -printf '%P %s %T@\n' 2>/dev/null || true; } | LC_ALL=C sort; }

# The same for the same data, recipe and programs: asked again, the service answers with the same
# job, finished or not. A job that went wrong, or --retrain, gets a new one. So do other programs: they
# decide what a recipe's name stands for, and the service refuses an id that comes with another recipe.
request_id() {
  local source
  source="$dataset $(sizes_and_times "$dataset" | md5sum) ${recipe[*]}"
  source+=" $(cd "$bin" && md5sum cytopress cytopressd cytopress-worker)"
  echo "quickstart-$(md5sum <<<"$source" | cut -c1-12)-$(cat "$state/round" 2>/dev/null || echo 1)"
}

next_round() { echo $(($(cat "$state/round" 2>/dev/null || echo 1) + 1)) >"$state/round"; }

compress() {
  [[ "$retrain" == no ]] || next_round
  local code=0
  client compress --name "$(model_name)" --dataset "$dataset" "${recipe[@]}" \
    --request-id "$(request_id)" || code=$?
  case "$code" in
    0) ;;
    130) exit 130 ;;
    4) fail "the service did not answer (see above); its log is $state/cytopressd.log. The next run asks for the same job" ;;
    *)
      next_round
      fail "the job did not succeed (exit code $code); see $state/data/logs/worker-local-1.log for the job and $state/cytopressd.log for the service. The next run starts a new job"
      ;;
  esac
}

# The model for blood cells that comes along, where there are real cells to show it.
readonly ready_made=blood-cells
has_ready_made() { [[ "$dataset" != synthetic* ]] && client models "$ready_made" >/dev/null 2>&1; }

classify() {
  local model="$1"
  if [[ -n "$photos" ]]; then
    local some=() folder
    for folder in "$photos"/*/; do
      mapfile -t -O ${#some[@]} some < <(photos_in "$folder" | head -n 2)
    done
    client classify --model "$model" --truth folder "${some[@]}" || return
    say "All photographs in $photos"
    client classify --model "$model" --truth folder --summary "$photos"
  else
    rm -rf "$state/images"
    client datasets export "$dataset" --split test --count 16 -o "$state/images" ||
      fail "there are no images of $dataset to classify (see above)"
    client classify --model "$model" --truth folder "$state/images"
  fi
}

classify_ready_made() {
  local code=0
  classify "$ready_made" || code=$?
  case "$code" in
    0) ;;
    # Folders that name none of its classes, or images that it does not take: no reason to stop.
    2 | 3) echo "$ready_made is not for these images (see above); the model that is made now will be" ;;
    7) echo "some of these images could not be classified (see above)" ;;
    130) exit 130 ;;
    *) fail "$ready_made does not classify (exit code $code, see above); the service's log is $state/cytopressd.log" ;;
  esac
}

goodbye() {
  local server
  server="127.0.0.1:$(ready_value port)"
  say "Done"
  cat <<END
gRPC:      $server            (package cytopress.v1, with reflection and health)
metrics:   http://127.0.0.1:$(ready_value metrics_port)/metrics
files:     $state

  export CYTOPRESS_SERVER=$server PATH="$bin:\$PATH"
  cytopress models $(model_name)              # scores, sizes, confusion matrix
  cytopress classify --model $(model_name) IMAGE...
  cytopress compress --help              # more epochs, other data, INT4, your own recipe
  $0 --stop$([[ "$state" == */.local/state/cytopress-quickstart ]] || printf ' --state %q' "$state")
END
}

main() {
  parse_flags "$@"
  if [[ "$stop" == yes ]]; then
    stop_service && echo "stopped" || echo "no service of $state is running"
    return
  fi
  mkdir -p "$state"
  say "Packages"
  bash "$root/deploy/install.sh" build
  say "Build"
  bash "$root/deploy/build.sh" cytopressd cytopress-worker cytopress
  say "Data"
  choose_dataset
  say "Service"
  start_service
  if has_ready_made; then
    say "Classify with $ready_made, which needs no training"
    classify_ready_made
  fi
  say "Compress: train, prune, fine-tune, quantize, evaluate"
  compress
  say "Classify"
  # 7: of the images, some could not be classified.
  classify "$(model_name)" || { code=$? && ((code == 7)) || exit "$code"; }
  goodbye
}

# The tests source this file.
[[ "${BASH_SOURCE[0]}" != "$0" ]] || main "$@"
