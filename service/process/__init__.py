"""The life of a server process: start, readiness, signals, drain, end; and the two processes of the Envoy front end.

`server` builds and connects all parts. `life` runs the server in a thread, so that the process ends in time even if the
server hangs. `envoy_parent` starts Envoy, `envoy_child` is the server inside Envoy.
"""
