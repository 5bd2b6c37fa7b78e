"""Several worker processes that share the gRPC port, and the parent process that watches them.

    parent ──┬── worker 0 ── grpcio, models          one HTTP port, one /metrics: the parent's
             └── worker 1 ── grpcio, models          one gRPC port: the kernel gives each connection to one worker

`parent` serves /metrics and the probes, holds the port (`port`) and starts the `fleet`, whose workers run `worker`.
Parent and workers exchange messages over socket pairs (`messages`). `agreement` is what they agree on: a version
answers when every worker has loaded it, and all switch at one moment. Example: version 2 is published, worker 0 loads
it in 1 s and worker 1 in 3 s; both answer with version 1 for 3 s, then both with version 2.
"""
