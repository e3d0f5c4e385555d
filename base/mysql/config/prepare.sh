#!/bin/sh
# Runs before the server, at every start of the pod: makes the data folder if there is none, and
# writes the statements that the server executes before it lets anybody in. That is how the accounts
# follow the Secrets.
set -eu

config=/etc/mysql-config/my.cnf
accounts=/etc/mysql-accounts
data=/var/lib/mysql/data
run=/run/mysql
sql=/usr/share/mysql

umask 077

# Built aside and renamed when it is whole: what an interrupted start left behind is never taken for
# a database, and what bears the name is never touched.
if [ ! -d "$data" ]; then
  rm -rf "$data.new"
  mkdir "$data.new"
  {
    echo 'CREATE DATABASE mysql;'
    echo 'USE mysql;'
    # Left out, these two mean a root without a password, also over the network, and an account
    # without a name.
    echo "SET @auth_root_socket = 'root';"
    echo 'SET @skip_auth_anonymous = 1;'
  } >/tmp/bootstrap.sql
  cat "$sql/mysql_system_tables.sql" "$sql/mysql_performance_tables.sql" \
    "$sql/mysql_system_tables_data.sql" >>/tmp/bootstrap.sql
  mysqld --defaults-file="$config" --datadir="$data.new" --bootstrap </tmp/bootstrap.sql
  rm /tmp/bootstrap.sql
  sync -f "$data.new"
  mv -T "$data.new" "$data"
  sync -f "$data"
  echo "prepare.sh: made $data"
fi

# The text of a file as an SQL string. An account without a password is worse than no start.
literal() {
  if ! grep -q . "$1"; then
    echo "prepare.sh: $1 is empty" >&2
    return 1
  fi
  printf "'%s'" "$(sed "s/[\\\\']/\\\\&/g" "$1")"
}

# account SECRET HOST CONNECTIONS PRIVILEGES [OPTION]; 0 connections: no limit of its own.
account() {
  user=$(literal "$accounts/$1/username")
  password=$(literal "$accounts/$1/password")
  printf '%s\n' "CREATE USER $user@'$2' IDENTIFIED BY $password WITH MAX_USER_CONNECTIONS $3;"
  printf '%s\n' "GRANT $4 TO $user@'$2' ${5:-};"
}

statements() {
  echo "CREATE DATABASE IF NOT EXISTS wordpress CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;"

  # All accounts are made anew: a rotated password, a right that was taken away and an account that
  # is no longer here need no further thought. mariadb.sys, locked, owns the server's own views.
  echo "SELECT COALESCE(CONCAT('DROP USER ', GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host))), 'DO 0') INTO @drop_all FROM mysql.user WHERE is_role = 'N' AND User <> 'mariadb.sys';"
  echo "EXECUTE IMMEDIATE @drop_all;"

  # Only by the socket, so only from inside the pod.
  account root localhost 0 'ALL PRIVILEGES ON *.*' 'WITH GRANT OPTION'

  # What people type into phpMyAdmin. They look after all of the server there, WordPress's tables
  # and other databases alike, and root is not let in from another pod: hence every right.
  account dba % 0 'ALL PRIVILEGES ON *.*' 'WITH GRANT OPTION'

  # Neither of the two programs can take all places and shut everybody else out.
  account wordpress % 25 \
    'SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON wordpress.*'

  # The server's counters (SHOW GLOBAL STATUS) are open to every account. PROCESS is not given: it
  # shows other people's statements, and so their data.
  account telegraf % 3 'USAGE ON *.*'

  # The probes' account comes last: a server that did not get this far is never ready.
  echo "CREATE USER probe@'127.0.0.1' IDENTIFIED BY '$probe';"
}

# Made anew with each pod, known to nobody outside it, and good for nothing but a question.
probe=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')

cat >"$run/probe.cnf" <<END
[client]
protocol = tcp
host = 127.0.0.1
user = probe
password = $probe
connect-timeout = 3
END
statements >"$run/init.sql"
