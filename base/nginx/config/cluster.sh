#!/bin/sh
# Writes what nginx must know of the cluster and what no file in git may know: the name server and
# the namespace's DNS domain, both as the kubelet wrote them into /etc/resolv.conf.
set -eu

out=$1
server=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2; exit }' /etc/resolv.conf)
domain=$(awk '$1 == "search" { print $2; exit }' /etc/resolv.conf)
if [ -z "$server" ] || [ -z "$domain" ]; then
  echo "cluster.sh: /etc/resolv.conf names no server or no search domain; is the pod's dnsPolicy ClusterFirst?" >&2
  exit 1
fi

cat >"$out.new" <<EOF
resolver $server valid=10s;
map "" \$cluster_domain { default $domain; }
EOF
mv "$out.new" "$out"
echo "cluster.sh: name server $server, domain $domain"
