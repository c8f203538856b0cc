#!/bin/bash
# Proves an image where there is no Docker engine: runs the steps of a stage of the Dockerfile in a bare
# Debian 12 tree made by debootstrap, then starts its ENTRYPOINT and CMD as its USER, with a read-only
# root and a network of its own, until its HEALTHCHECK answers. A worker has none: its state folder gets
# the job database of the cytopressd of --bin, and it is at work when it has written there.
#
#   deploy/verify_image.sh --bin build/release/bin [--stage serve|worker] [--mirror URL] [--base TAR]
#                          [--keep]
#
# Takes some minutes. Needs root, debootstrap, python3, iproute2 and util-linux; the host must be
# one that the programs were built for. --base keeps the bare tree in the file TAR, for the next
# run to start from. --keep leaves the finished tree and says where.
set -euo pipefail

source_folder=$(cd "$(dirname "$0")/.." && pwd)
# The mirrors that this machine's own apt uses.
mirror_of() { apt-get indextargets --format '$(CODENAME) $(REPO_URI)' | awk -v want="$1" '$1 == want { print $2; exit }'; }
mirror=$(mirror_of bookworm)
security_mirror=$(mirror_of bookworm-security)
stage=serve
bin=
base=
keep=
tree=

die() { echo "verify_image: $*" >&2; exit 1; }
say() { echo "== $*"; }

# The instructions of the stage, one a line: NAME<tab>TEXT.
instructions() {
  python3 "$source_folder/tests/deploy/dockerfile.py" "$source_folder/Dockerfile" "$stage" |
    python3 -c 'import json, sys
for line in sys.stdin: print("\t".join(json.loads(line)))'
}

last() { instructions | awk -F '\t' -v name="$1" '$1 == name {text = $2} END {print text}'; }

# The names of the programs that the stage takes from the build.
programs() {
  instructions | awk -F '\t' '$1 == "COPY" && $2 ~ /--from=build/ {print $2}' |
    tr ' ' '\n' | grep -o '/bin/[a-z-]\+$' | xargs -n 1 basename
}

# The words of a JSON array, one a line.
words() { python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$1"; }

# As root, with /proc for the length of the command.
in_tree() {
  # shellcheck disable=SC2016
  unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$tree" \
    /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${http_proxy:+http_proxy="$http_proxy"} "$@"
}

# Fills as_user, the words before a command that runs it in the tree as the image's user.
set_user() {
  local user
  user=$(last USER)
  as_user=(chroot --userspec="$user:$user" "$tree" /usr/bin/env -i
    PATH=/usr/local/bin:/usr/bin:/bin HOME=/var/lib/cytopress)
}

copy() {
  local from=$source_folder words target path
  read -ra words <<< "$1"
  if [[ ${words[0]} == --from=* ]]; then
    from=$bin
    words=("${words[@]:1}")
  fi
  target=${words[-1]}
  unset 'words[-1]'
  case $target in
    */) mkdir -p "$tree$target" ;;
    *) mkdir -p "$tree$(dirname "$target")" ;;
  esac
  for path in "${words[@]}"; do
    [[ $from == "$bin" ]] && path=$(basename "$path")
    if [[ -d $from/$path ]]; then  # of a folder, Docker copies what is in it
      mkdir -p "$tree$target"
      cp -r "$from/$path/." "$tree$target"
      continue
    fi
    cp "$from/$path" "$tree$target"
    [[ $from != "$bin" ]] || strip "$tree$target$path"
  done
}

bare_tree() {
  if [[ -n $base && -s $base ]]; then
    tar -C "$tree" -xf "$base"
    return
  fi
  debootstrap --variant=minbase bookworm "$tree" "$mirror" > "$tree.log" 2>&1 ||
    { tail -20 "$tree.log" >&2; die "debootstrap failed"; }
  chroot "$tree" apt-get clean
  # As in every container.
  ln -sfn /proc/self/fd "$tree/dev/fd"
  [[ -z $base ]] || tar -C "$tree" -cf "$base" .
}

build() {
  say "a bare Debian 12"
  bare_tree
  printf '%s\n' "deb $mirror bookworm main" "deb $mirror bookworm-updates main" \
    "deb $security_mirror bookworm-security main" > "$tree/etc/apt/sources.list"
  [[ ! -e /etc/resolv.conf ]] || cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
  du -sm "$tree" | awk '{print "   " $1 " MiB before"}'
  while IFS=$'\t' read -r name text; do
    say "$name $text"
    case $name in
      RUN) in_tree /bin/sh -c "$text" > "$tree.log" 2>&1 < /dev/null ||
             { tail -20 "$tree.log" >&2; die "the step failed"; } ;;
      COPY) copy "$text" ;;
      WORKDIR) mkdir -p "$tree$text" ;;
      VOLUME | LABEL | USER | EXPOSE | HEALTHCHECK | ENTRYPOINT | CMD) ;;  # used below, or words only
      *) die "$name is not understood here" ;;
    esac
  done < <(instructions)
  du -sm "$tree" | awk '{print "   " $1 " MiB after"}'
}

inspect() {
  set_user
  if [[ $stage == serve ]]; then
    say "no LibTorch in the image"
    [[ -z $(find "$tree/usr" "$tree/opt" -name 'libtorch*') ]] || die "LibTorch is in the image"
  fi
  local program
  for program in $(programs); do
    say "$program: no library missing, starts as $(last USER)"
    "${as_user[@]}" ldd "/usr/local/bin/$program" > "$tree.log"
    ! grep 'not found' "$tree.log" || die "$program: see above"
    "${as_user[@]}" "$program" --help > "$tree.log"
    head -3 "$tree.log" | sed 's/^/   /'
  done
}

# What tells that the stage's program is at work, one word a line.
probe() {
  local check
  check=$(last HEALTHCHECK)
  if [[ $check == NONE ]]; then
    printf '%s\n' test -s /var/lib/cytopress/jobs.db-wal  # gone whenever nobody has the database open
  else
    words "${check#* CMD }"
  fi
}

# A worker takes jobs from a database that is there. REQUIRES: loopback.
make_database() {
  local volume pid
  volume=$tree$(last VOLUME)
  "$bin/cytopressd" --state "$volume" --zoo "" --workers 0 --listen 127.0.0.1:0 \
    --metrics-listen 127.0.0.1:0 --ready-file "$volume/ready.json" > "$tree.log" 2>&1 &
  pid=$!
  for ((i = 0; ; ++i)); do
    [[ ! -e $volume/ready.json ]] || break
    kill -0 "$pid" 2> /dev/null && ((i < 100)) || { cat "$tree.log" >&2; die "no job database"; }
    sleep 0.1
  done
  kill -TERM "$pid"
  wait "$pid"
  rm "$volume/ready.json"
  chroot "$tree" chown -R "$(last USER):$(last USER)" "$(last VOLUME)"
}

# In namespaces of its own, which end with it: mounts, network, processes.
run() {
  local command probe pid
  set_user
  ip link set lo up
  [[ $stage == serve ]] || make_database
  mount --bind "$tree" "$tree"
  mount -t proc proc "$tree/proc"
  mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
  mount --bind "$tree/$(last VOLUME)" "$tree/$(last VOLUME)"
  mount -o remount,bind,ro "$tree"
  readarray -t command < <(words "$(last ENTRYPOINT)"; words "$(last CMD)")
  readarray -t probe < <(probe)

  say "as $(last USER), read-only root: ${command[*]}"
  ! in_tree touch /usr/local/bin/written 2> /dev/null || die "the root can be written"
  "${as_user[@]}" "${command[@]}" &
  pid=$!
  for ((i = 0; ; ++i)); do
    if "${as_user[@]}" "${probe[@]}" > "$tree.log" 2>&1; then break; fi
    kill -0 "$pid" 2> /dev/null || die "the server ended"
    ((i < 100)) || { cat "$tree.log" >&2; die "not healthy after 100 probes"; }
    sleep 0.1
  done
  say "healthy at probe $((i + 1)): ${probe[*]}"
  sed 's/^/   /' "$tree.log"
  awk '/^(Name|Uid|VmRSS)/ {print "   " $0}' "$tree/proc/$pid/status"
  [[ $stage != serve ]] || "${as_user[@]}" bash -c 'exec 3<> /dev/tcp/127.0.0.1/9108
    printf "GET /metrics HTTP/1.0\r\n\r\n" >&3
    grep -E "^cytopress_build_info|^process_resident_memory_bytes" <&3' | sed 's/^/   /'

  kill -TERM "$pid"
  wait "$pid" || die "SIGTERM: exit code $?"
  say "SIGTERM: exit code 0"
}

if [[ ${1:-} == --run-inside ]]; then
  tree=$2
  stage=$3
  bin=$4
  run
  exit
fi

while (($#)); do
  case $1 in
    --bin) bin=$(cd "$2" && pwd); shift 2 ;;
    --stage) stage=$2; shift 2 ;;
    --mirror) mirror=$2; security_mirror=${2%/}-security; shift 2 ;;
    --base) base=$(realpath "$2"); shift 2 ;;
    --keep) keep=yes; shift ;;
    *) die "unknown flag $1; see the head of this file" ;;
  esac
done
[[ -n $bin ]] || die "say where the programs are built: --bin DIR"
[[ $stage == serve || $stage == worker ]] || die "no such stage: $stage (serve or worker)"
for program in cytopressd $(programs); do
  [[ -x $bin/$program ]] || die "$bin/$program is not there: build it first"
done
((EUID == 0)) || die "chroot and debootstrap need root"
[[ -n $base && -s $base ]] || command -v debootstrap > /dev/null || die "install debootstrap"

tree=$(mktemp -d /tmp/cytopress-image.XXXXXX)
chmod 755 "$tree"
if [[ -n $keep ]]; then
  trap 'echo "kept: $tree"' EXIT
else
  trap 'rm -rf --one-file-system "$tree" "$tree.log"' EXIT
fi
build
inspect
unshare --mount --net --pid --fork --kill-child "$0" --run-inside "$tree" "$stage" "$bin"
say "the image of the stage $stage is what the Dockerfile promises"
