"""A server under test, and what stands beside it.

- `kan_serve`: a server as a process, or the same server in this process. `programs`: other programs, free ports.
- `gate`: holds the runs of a slow model until the test lets them go on.
- `metrics`: what a server has counted.
"""
