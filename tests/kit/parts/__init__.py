"""Parts of the service in this process, without a server.

- `attribution`: the files of a version that explains, counted and held.
- `batching`: a batcher of numpy callables, and what it reported.
- `registry`: a registry of models, and loads that a test holds. `storage`: storage that fails.
"""
