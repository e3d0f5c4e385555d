#!/bin/sh
# Asks for a farewell over TLS, at the probes' own door: no client's place is taken, and a server
# with all places taken is well.
set -eu

code=0
answer=$(printf 'QUIT\r\n' | timeout 4 openssl s_client -quiet -starttls ftp -connect 127.0.0.1:2121 2>&1) || code=$?
case $answer in
  *"221 "*) exit 0 ;;
esac

# MaxInstances reached: proftpd turns new connections away at once. That is an answer; being killed
# for it would let anyone restart the server. No answer at all is 124, from timeout.
if [ "$code" -ne 124 ] && [ "$(pgrep -cx proftpd)" -gt 80 ]; then
  exit 0
fi
echo "probe.sh: no FTPS answer (code $code): $answer" >&2
exit 1
