#!/bin/bash
# A PostgreSQL server of a test's own, reached by a socket in its folder only.
#
#   postgres.sh start FOLDER      makes FOLDER if need be; the user is "tester"
#   postgres.sh stop FOLDER
#   postgres.sh create FOLDER DATABASE
#
# PostgreSQL does not run as root: root lets "nobody" run it.
set -euo pipefail

action="$1" folder="$2"
programs="$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)"
as_user=()
[[ $EUID -ne 0 ]] || as_user=(runuser -u nobody --)

case "$action" in
  start)
    if [[ ! -d "$folder/data" ]]; then
      mkdir -p "$folder"
      [[ $EUID -ne 0 ]] || chown nobody "$folder"
      "${as_user[@]}" "$programs/initdb" --pgdata "$folder/data" --username tester --auth trust \
        --encoding UTF8 --no-locale --no-sync >"$folder/log"
    fi
    "${as_user[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --log "$folder/data/log" --wait \
      --options "-k '$folder' -c listen_addresses='' -c fsync=off" start >>"$folder/log"
    ;;
  stop) "${as_user[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --mode immediate stop >>"$folder/log" ;;
  create) "$programs/createdb" --host "$folder" --username tester "$3" ;;
esac
