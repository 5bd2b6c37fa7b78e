"""The model repository: a folder or object storage. Reads are bounded and verified by sha256.

`source` is the entry point. `disk` reads <model>/<version>/, `storage` and `cache` fetch versions from object storage,
`manifest` (by `proto_json`) and `external_data` check the manifest and the graph of a version.
"""
