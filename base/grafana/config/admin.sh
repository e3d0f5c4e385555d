#!/bin/sh
# Grafana reads the administrator's password only when it makes its database. A Secret that changed
# since is brought into the database here, before Grafana starts; the mark says which one it knows.
set -eu

data=/var/lib/grafana
mark=$data/admin.sha256
now=$(cat /etc/grafana-key/secret-key /etc/grafana-admin/password | sha256sum)

if [ -f "$data/grafana.db" ] && [ "$(cat "$mark" 2>/dev/null)" != "$now" ]; then
  # The command reads a line.
  { cat /etc/grafana-admin/password; echo; } |
    grafana cli --homepath /usr/share/grafana --config /etc/grafana-config/grafana.ini \
      admin reset-admin-password --password-from-stdin
  echo "admin.sh: the administrator's password is now the Secret's"
fi

umask 077
printf '%s\n' "$now" >"$mark.new"
mv "$mark.new" "$mark"
