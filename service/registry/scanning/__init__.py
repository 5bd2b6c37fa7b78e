"""Scans of the repository: when they run, and what the last one found.

`watcher` scans periodically. `shared_scan` scans for requests that name an unknown version, at most once a second.
`listing` holds the versions that the last scan found, and which of them are new. Example: version 3 of a model is
published between two periodic scans; a request for it starts a shared scan, and the listing then has version 3 as new.
`absent_versions` warns of versions that the settings select and that are not in the repository.
`changed_files` warns of versions that answer and whose files were changed in place.
"""
