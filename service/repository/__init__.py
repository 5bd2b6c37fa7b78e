"""What there is to serve: a folder or object storage, read with bounds and verified by sha256 before it is loaded.

`source` is the face. `disk` reads <model>/<version>/, `storage` and `cache` bring versions from object storage,
`manifest` and `external_data` check what a version says of itself.
"""
