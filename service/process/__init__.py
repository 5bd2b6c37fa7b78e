"""The life of a server process: start, readiness, signals, drain, end.

`server` builds and connects all parts. `life` runs the server in a thread, so that the process ends in time even if the
server hangs. `envoy` has the two processes of the Envoy front end, `workers` has several processes on one port, and
`output` has what a process writes.
"""
