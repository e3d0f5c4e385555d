#!/bin/sh
# finish.sh ROOT PACKAGE...: what is left to do in a root filesystem when every maintainer script has
# run. PACKAGE... are removed: only installing needed them. Runs on the host, as mmdebstrap's hook.
set -eu

root=$1
shift
case $root in
  "" | /)
    echo "finish.sh: '$root' is no root filesystem of an image" >&2
    exit 2
    ;;
esac

# Removal scripts tidy up what this script deletes anyway, and call tools that leave with them.
rm -f "$root"/var/lib/dpkg/info/*.prerm "$root"/var/lib/dpkg/info/*.postrm "$root"/var/lib/dpkg/info/*.triggers

# By the host's dpkg, so that the image's list of packages tells scanners the truth to the end. It warns
# of every dependency that is broken on purpose.
said=$(dpkg --root="$root" --log=/dev/null --no-triggers --force-depends --force-remove-essential \
  --force-remove-protected --purge "$@" 2>&1) || {
  printf '%s\n' "$said" >&2
  exit 1
}

cd "$root"

# Nothing is ever installed again: of dpkg's database only the list of packages is of use.
find var/lib/dpkg -mindepth 1 ! -path var/lib/dpkg/status -delete

# Caches, logs, and settings of tools that are gone; some differ from one build to the next. mmdebstrap
# misses its own file in etc/apt if that goes too.
find etc/apt ! -type d ! -name 00mmdebstrap -delete
rm -rf etc/alternatives/README etc/dpkg etc/.pwd.lock etc/machine-id etc/pam.d etc/security \
  etc/systemd etc/ufw etc/update-motd.d var/backups var/lib/apt var/lib/dbus var/lib/pam \
  var/lib/php/modules var/lib/systemd var/lib/ucf
find run tmp var/cache var/log var/tmp -mindepth 1 -delete

# Made by the scripts of ca-certificates. All that is verified here are certificates of our own authority.
rm -rf etc/ca-certificates etc/ca-certificates.conf etc/ssl/certs

# Secrets that maintainer scripts made.
rm -rf etc/dbconfig-common etc/phpmyadmin/config-db.php var/lib/phpmyadmin/*.php

# Links whose target went with its package.
for link in etc/alternatives/* etc/mysql/* etc/php/*/*/conf.d/* usr/bin/* usr/sbin/*; do
  [ -L "$link" ] || continue
  target=$(readlink "$link")
  case $target in
    /*) target=.$target ;;
    *) target=${link%/*}/$target ;;
  esac
  [ -e "$target" ] || [ -L "$target" ] || rm "$link"
done

# mmdebstrap leaves the host's names here; a container gets its own.
rm -f etc/hostname etc/resolv.conf etc/hosts

# One account is enough, and none has a password.
rm -f etc/shadow* etc/gshadow* etc/passwd- etc/group- etc/subuid* etc/subgid*
cat >etc/passwd <<'END'
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
app:x:10001:10001::/nonexistent:/usr/sbin/nologin
END
cat >etc/group <<'END'
root:x:0:
nogroup:x:65534:
app:x:10001:
END

# The server owns nothing of its image and may write nowhere but in /tmp. /dev, /proc and /sys are the
# host's while mmdebstrap runs.
find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys \) -prune -o -exec chown -h 0:0 {} +
find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -type l \) -prune -o \
  -perm /7022 -exec chmod u-s,g-s,go-w,-t {} +
chmod 1777 tmp
