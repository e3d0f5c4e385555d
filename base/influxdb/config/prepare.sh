#!/bin/sh
# Runs before the server, at every start of the pod: sets the database, how long it keeps what, and
# the accounts, which follow the Secrets. A server does it that only the pod itself can reach and that
# asks for no password, so that a rotated password of the administrator needs nothing of the old one.
set -eu

config=/etc/influxdb-config/influxdb.conf
accounts=/etc/influxdb-accounts
run=/run/influxdb

umask 077

ask() {
  influx -host 127.0.0.1 -port 8086 -format csv
}

# The text of a file as a string of InfluxQL, or in other quotes as a name. An account without a
# password is worse than no start.
quoted() {
  if ! grep -q . "$2"; then
    echo "prepare.sh: $2 is empty" >&2
    return 1
  fi
  printf '%s%s%s' "$1" "$(sed "s/[\\\\$1]/\\\\&/g" "$2")" "$1"
}

# account SECRET [PRIVILEGE]; without one it is an administrator.
account() {
  user=$(quoted '"' "$accounts/$1/username")
  password=$(quoted "'" "$accounts/$1/password")
  if [ $# -eq 1 ]; then
    printf '%s\n' "CREATE USER $user WITH PASSWORD $password WITH ALL PRIVILEGES;"
  else
    printf '%s\n' "CREATE USER $user WITH PASSWORD $password;"
    printf '%s\n' "GRANT $2 ON telegraf TO $user;"
  fi
}

statements() {
  echo "CREATE DATABASE telegraf;"
  # Set at every start, so a changed line here is all that it takes.
  echo "ALTER RETENTION POLICY autogen ON telegraf DURATION 7d SHARD DURATION 1d DEFAULT;"

  # All accounts are made anew: a rotated password, a right that was taken away and an account that
  # is no longer here need no further thought.
  sed -e 1d -e 's/,true$//' -e 's/,false$//' -e 's/^"\(.*\)"$/\1/' -e 's/""/"/g' \
    -e 's/[\\"]/\\&/g' -e 's/.*/DROP USER "&";/' "$run/users"

  account admin
  account writer WRITE
  account reader READ

  echo "CREATE USER probe WITH PASSWORD '$probe';"
  echo "GRANT READ ON telegraf TO probe;"
}

# Accounts and policies are all in the meta folder. With an empty folder in the place of the data,
# this server starts at once, however much there is, and cannot harm it.
INFLUXDB_DATA_DIR=/tmp/prepare/data INFLUXDB_DATA_WAL_DIR=/tmp/prepare/wal \
  INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8086 INFLUXDB_HTTP_AUTH_ENABLED=false \
  INFLUXDB_LOGGING_LEVEL=warn influxd run -config "$config" &
server=$!
trap 'kill "$server"' EXIT

patience=300
until echo 'SHOW USERS' | ask >"$run/users" 2>/dev/null; do
  patience=$((patience - 1))
  if [ "$patience" -eq 0 ] || ! kill -0 "$server"; then
    echo "prepare.sh: the server did not answer" >&2
    exit 1
  fi
  sleep 0.2
done

# Known to nobody outside the pod, and made anew with it.
probe=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')

statements >"$run/accounts.iql"
ask <"$run/accounts.iql"
rm "$run/accounts.iql" "$run/users"

trap - EXIT
kill "$server"
wait "$server"
rm -r /tmp/prepare

printf '%s' "$probe" >"$run/probe"
echo "prepare.sh: the database telegraf and its accounts are set"
