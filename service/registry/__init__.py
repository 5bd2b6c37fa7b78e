"""Which versions answer: loading, taking over, lingering, leases, readiness.

`registry` is the face. A version that the repository holds is loaded (`loader`), takes over from the one before
(`succession`), answers by number for a while after that (`lingering`) and is closed once nobody leases it. `model`
holds one loaded version.
"""
