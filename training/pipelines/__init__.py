"""The ways from a command to a published version, one file each.

`train` (kan-train run), `continuation` (kan-train continue), `importing` (kan-train import), `tune` (kan-train tune).
Beside them what a run needs: its folder, its identity, its progress bar, and how Ctrl-C stops it.
"""
