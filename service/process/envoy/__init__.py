"""The two processes of the Envoy front end.

    parent ── starts and watches ──▶ Envoy ── pyvoy ──▶ child: the server inside Envoy
       └───────────── control: orders, reports ────────────┘

`parent` runs in kan-serve itself, or in each `worker` among several. `process` is the running Envoy. `child` is an ASGI
application that Envoy loads. Example: at SIGTERM `parent` orders a stop, `child` answers what it has accepted and
reports it, and `parent` ends Envoy.
"""
