#!/bin/sh
# Writes .env, the settings of compose.yaml, with new secrets:
#   ./generate-env.sh HOST [EXTERNAL_ADDRESS]
# HOST is the public name of this machine. EXTERNAL_ADDRESS is its public address, if its interfaces have another one
# (behind NAT, as in most clouds). An existing .env is not changed.
set -euC

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
host=$1
secret() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }

cd "$(dirname "$0")"
umask 077
cat >.env <<END
PUBLIC_HOST=$host
EXTERNAL_ADDRESS=${2-}
STUN_URLS=stun:$host:3478
TURN_URLS=turn:$host:3478?transport=udp,turn:$host:3478?transport=tcp
POSTGRES_PASSWORD=$(secret)
REDIS_PASSWORD=$(secret)
AUTH_SECRET=$(secret)
ADMIN_TOKEN=$(secret)
TURN_SECRET=$(secret)
TURN_SECRET_OTHER=$(secret)
END
# nginx and coturn run as other users.
mkdir -p certificates
chmod 755 certificates
echo 'Wrote .env. Keep it secret, and back it up: AUTH_SECRET signs the tokens of all accounts.'
