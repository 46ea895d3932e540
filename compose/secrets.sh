#!/usr/bin/env bash
# Makes what compose.yaml needs and nobody else may know, once; what is there stays as it is.
# Usage: bash secrets.sh [--cluster] [FOLDER]        --cluster: also the certificates and the password of three brokers
#
# The folder is closed to all but its owner. In it, the company's key belongs to the processes alone, which refuse a key
# that others may read; what several users in containers read is readable there.
set -euo pipefail
umask 077
cluster=
if [ "${1:-}" = --cluster ]; then cluster=yes; shift; fi
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
cd "$folder"

made() { printf 'made %s\n' "$folder/$1"; }

if [ ! -e bypassflow.key ]; then
    openssl rand -hex 32 >bypassflow.key
    chmod 0400 bypassflow.key
    made "bypassflow.key: keep a copy elsewhere, as long as the store; another key gives other tokens"
fi
if [ "$(stat -c %u bypassflow.key)" != 10001 ]; then
    chown 10001:10001 bypassflow.key 2>/dev/null \
        || printf 'give bypassflow.key to the user of the containers: sudo chown 10001:10001 %s\n' "$folder/bypassflow.key" >&2
fi
for name in hook.secret grafana.password; do
    [ -e "$name" ] && continue
    openssl rand -hex 24 | tr -d '\n' >"$name"
    chmod 0444 "$name"
    made "$name"
done
[ -n "$cluster" ] || exit 0

if [ ! -e kafka.password ]; then
    openssl rand -hex 24 | tr -d '\n' >kafka.password
    chmod 0444 kafka.password
    made kafka.password
fi
if [ ! -e kafka-ca.pem ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=bypassflow-kafka-ca \
        -keyout kafka-ca.key -out kafka-ca.pem 2>/dev/null
    chmod 0444 kafka-ca.pem
    made "kafka-ca.pem, and kafka-ca.key, which no process needs: keep it elsewhere"
fi
for host in kafka kafka-2 kafka-3; do
    [ -e "$host.pem" ] && continue
    # One name for all: it is the one that the brokers trust among themselves.
    openssl req -newkey rsa:3072 -nodes -subj /CN=kafka -keyout "$host.tmp" -out "$host.csr" 2>/dev/null
    openssl x509 -req -in "$host.csr" -CA kafka-ca.pem -CAkey kafka-ca.key -CAcreateserial -days 825 \
        -extfile <(printf 'subjectAltName=DNS:%s,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n' "$host") \
        -out "$host.crt" 2>/dev/null
    cat "$host.tmp" "$host.crt" >"$host.pem"
    chmod 0444 "$host.pem"
    rm -f "$host.tmp" "$host.csr" "$host.crt"
    made "$host.pem"
done
