#!/bin/sh
# Health checks for nginx, which has none: every second, marks the nodes in parley.conf that are not ready as `down` for new
# clients, and reloads nginx when that changes. It changes nothing while no node is ready, or for a node that accepts
# connections and is only slow.
#   check-nodes.sh [FILE]          default: /etc/nginx/conf.d/parley.conf
# Needs curl. Set DRAIN_DELAY_MS of the nodes to 4000 or more.
set -u
conf=${1:-/etc/nginx/conf.d/parley.conf}

while sleep 1; do
  edits='' ready=0
  for node in $(sed -n 's/^ *server \([^ ]*\) max_fails=0\( down\)\{0,1\}; # .*/\1/p' "$conf"); do
    connect_time=$(curl --fail --silent --max-time 2 --output /dev/null --write-out '%{time_connect}' "http://$node/readyz")
    case $?:$connect_time in
      0:*)
        ready=1
        edits="$edits;s/^\\( *server $node max_fails=0\\) down; # /\\1; # /"
        ;;
      # Refused, a status such as 503, or no connection in time.
      7:* | 22:* | 28:0[.,]000000) edits="$edits;s/^\\( *server $node max_fails=0\\); # /\\1 down; # /" ;;
    esac
  done
  edited=$(sed "${edits#;}" "$conf")
  if [ $ready = 0 ] || [ "$edited" = "$(cat "$conf")" ]; then continue; fi
  printf '%s\n' "$edited" >"$conf"
  nginx -t -q && nginx -s reload
done
