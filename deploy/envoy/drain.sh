#!/bin/bash
# Runs Envoy, and at SIGTERM lets it finish. Envoy by itself would end at once and lose every open call.
#   bash drain.sh ADMIN_PORT ENVOY [ARGUMENT…]
# At SIGTERM or SIGINT: new connections are refused, open connections get GOAWAY, open calls are answered, for 20 s at most;
# then Envoy ends. A second signal ends it at once. Needs bash, cat, grep and sleep, which Envoy's image has (the distroless
# image does not).
admin_port=$1
shift

ask() { # METHOD PATH; in a shell of its own, since a port where nobody listens would end this one
  (
    exec 3<>"/dev/tcp/127.0.0.1/$admin_port" &&
      printf '%s %s HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n' "$1" "$2" >&3 && cat <&3
  ) 2>/dev/null
}

drain() {
  if ask POST /healthcheck/fail >/dev/null && ask POST /drain_listeners >/dev/null; then
    deadline=$((SECONDS + 20))
    idle=0
    # Idle for half a second: calls that were in transit at GOAWAY have arrived by then.
    while ((idle < 5 && SECONDS < deadline)); do
      sleep 0.1
      if ask GET '/stats?filter=^http.callers.downstream_rq_active$' | grep -q 'active: 0'; then
        idle=$((idle + 1))
      else
        idle=0
      fi
    done
  fi
  kill -TERM "$envoy"
}

signalled() {
  if [[ $draining ]]; then
    kill -TERM "$envoy"
  else
    drain 2>/dev/null &
    draining=$!
  fi
}

draining=
"$@" &
envoy=$!
trap signalled TERM INT
wait "$envoy"
code=$?
# A signal ends `wait`, not Envoy.
while kill -0 "$envoy" 2>/dev/null; do
  wait "$envoy"
  code=$?
done
[[ ! $draining ]] || kill "$draining" 2>/dev/null
exit "$code"
