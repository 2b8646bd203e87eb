#!/bin/sh
# Restarts the nodes of compose.yaml one after the other, without an interruption:
#   ./rolling-restart.sh             with the settings and the image as they are now
#   ./rolling-restart.sh --build     with a new image of this checkout
# Before a node is stopped, nginx sends new clients to the other one.
set -eu
cd "$(dirname "$0")"
conf=nginx/parley.conf

# Rewrites the file in place: a container sees a mounted file, not its name.
edit() {
  edited=$(sed "$1" "$conf")
  printf '%s\n' "$edited" >"$conf"
}
reload() {
  docker compose exec -T nginx nginx -t -q
  docker compose exec -T nginx nginx -s reload
}

if grep -q ' down; # ' "$conf"; then
  echo "A node is marked down in $conf, as it did not become healthy. Repair it and remove the mark first." >&2
  exit 1
fi
[ "${1-}" != --build ] || docker compose build parley-a
for node in a b; do
  edit "s/; # $node\$/ down; # $node/"
  reload
  # Stops the node, which moves its clients within stop_grace_period, starts it again and waits until it is healthy.
  docker compose up --detach --no-deps --force-recreate --wait "parley-$node"
  edit "s/ down; # $node\$/; # $node/"
  reload
done
