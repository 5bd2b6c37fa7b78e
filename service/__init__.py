"""Serves published versions over gRPC, with onnxruntime and without torch.

A request's way: `frontends` (grpcio or Envoy) → `rpc` (admission, status) → `protocols` (messages to rows) →
`registry` (name and version to a live model) → `batching` (rows of several requests in one run) → back the same way.
`process` starts, watches and stops the server; `repository` finds and verifies versions; `metrics` counts.
"""
