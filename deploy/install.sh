#!/bin/bash
# Installs the Debian packages of the named groups of deploy/packages.txt, as far as they are missing.
#
#   deploy/install.sh [GROUP...]     groups: build (default), serve, worker, test, tidy
#
# Asks for nothing. Needs root, or sudo, only when something is missing.
set -euo pipefail

list="$(dirname "${BASH_SOURCE[0]}")/packages.txt"
readonly list

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

known_groups() { awk 'NF >= 2 && $1 !~ /^#/ { print $1 }' "$list" | sort -u; }

packages_of() {
  awk -v groups=" $* " 'NF >= 2 && $1 !~ /^#/ && index(groups, " " $1 " ") { print $2 }' "$list" |
    sort -u
}

# Those of its arguments that are not installed.
missing_of() {
  local installed
  installed="$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    awk '$1 == "installed" { print $2 }' | sort -u || true)"
  comm -23 <(printf '%s\n' "$@" | sort -u) <(printf '%s\n' "$installed")
}

main() {
  local groups=("$@") group
  [[ ${#groups[@]} -gt 0 ]] || groups=(build)
  for group in "${groups[@]}"; do
    known_groups | grep -qxF -- "$group" ||
      fail "there is no group \"$group\"; groups are: $(known_groups | paste -sd' ')"
  done

  local packages missing
  mapfile -t packages < <(packages_of "${groups[@]}")
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    fail "this is not Debian: there is no apt-get. Install what matches these Debian 12 packages: ${packages[*]}"
  mapfile -t missing < <(missing_of "${packages[@]}")
  if [[ ${#missing[@]} -eq 0 ]]; then
    echo "packages: all ${#packages[@]} are installed (${groups[*]})"
    return
  fi

  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null ||
      fail "missing packages and neither root nor sudo to install them. As root run: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  echo "packages: installing ${#missing[@]} of ${#packages[@]} (${groups[*]}): ${missing[*]}"
  # Waits for another apt-get, such as an unattended upgrade, instead of failing.
  local options=(-q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2)
  "${as_root[@]}" apt-get "${options[@]}" update ||
    fail "apt-get update failed; check the network and /etc/apt/sources.list"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get "${options[@]}" install -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]} (Debian 12 has them all)"
}

main "$@"
