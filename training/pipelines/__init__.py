"""The ways from a command to a published version, one file each.

`train` (kan-train run), `continuation` (the same with continue_from), `importing` (kan-train import), `tune` (kan-train
tune). The first two end alike, in `release`. Beside them what a run needs: `run` says what and where, `run_folder`
keeps its state, `watcher` hears of it, `interruption` stops it at Ctrl-C.
"""
