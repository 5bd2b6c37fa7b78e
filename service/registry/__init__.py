"""Which versions answer: loading, swaps, lingering, leases, readiness.

`registry` is the entry point; the other modules serve it. The life of a version: a scan finds it (`scanning`), `loader`
loads it, `succession` swaps it in for the previous one. When a newer version supersedes it, it still answers by number
for a while (`lingering`). It is closed when no request leases it any more. `model` is one loaded version. `readiness`
says whether the server should get requests.
"""
