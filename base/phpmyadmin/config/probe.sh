#!/bin/sh
# Asks php-fpm over FastCGI, without nginx. `ready`: the workers answer. `alive`: php-fpm does, by its
# status process, even while every worker waits for MySQL.
set -eu

case $1 in
  ready) socket=/run/phpmyadmin/php-fpm.sock path=/fpm-ping answer='^pong' ;;
  alive) socket=/run/phpmyadmin/php-fpm-status.sock path=/fpm-status answer='^pool:' ;;
  *) echo "usage: probe.sh ready|alive" >&2; exit 2 ;;
esac

reply=$(env -i PATH="$PATH" SCRIPT_NAME="$path" SCRIPT_FILENAME="$path" REQUEST_METHOD=GET \
  timeout 3 cgi-fcgi -bind -connect "$socket")
printf '%s\n' "$reply" | grep -q "$answer"
