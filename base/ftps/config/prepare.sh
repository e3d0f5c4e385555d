#!/bin/sh
# Makes what proftpd wants to find. It accepts a password file, a scoreboard or a log only in a
# directory that nobody else may write to, and the root of a volume is never one.
set -eu

passwd=/etc/ftps-passwd/passwd
private=/run/ftps/private
events=/run/ftps-events/private

umask 077
mkdir -p "$private" "$events"
cp "$passwd" "$private/passwd.new"
mv "$private/passwd.new" "$private/passwd"

[ -p "$events/fifo" ] || mkfifo "$events/fifo"

awk -F: '$6 ~ "^/srv/ftps/[a-z0-9_-]+$" { print $6 }' "$passwd" | while IFS= read -r home; do
  mkdir -p "$home"
  echo "prepare.sh: home $home"
done
