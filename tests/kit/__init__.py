"""What tests of several folders share. Each file holds one thing, named by its noun.

- `kan_serve`: a server as a process. `programs`: other programs, free ports. `load`: callers that never pause.
- `repository`: versions of small models whose right answers numpy knows. `graphs`: their ONNX graphs. `digits`: the
  demo model, trained.
- `gate`: holds the runs of a slow model until the test lets them go on.
- `registry`: a registry of models in this process, and loads that a test holds. `storage`: storage that fails.
- `batching`: a batcher of numpy callables, and what it reported.
- `calls`, `protocols`: one request in each protocol. `http2`: frames for callers that behave badly. `metrics`: what a
  server has counted.
- `waiting`: until a condition holds. `clock`: time that a test moves. `watcher`: a silent watcher of a training run.

A fixture stays in the conftest.py of its folder, as a thin line around what is here.
"""
