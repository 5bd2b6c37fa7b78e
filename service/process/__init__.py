"""The life of a server process: start, readiness, signals, drain, end; and the pair of processes behind Envoy.

`server` builds and joins all parts. `life` runs it in a thread, so that the process ends in time whatever hangs.
`envoy_parent` starts Envoy, `envoy_child` is the server inside it.
"""
