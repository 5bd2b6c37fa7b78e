"""Which versions are in memory, and calls that wait for one that is not.

Without bounds every served version is loaded at the start. With `--max-loaded-models` or `--max-loaded-bytes` a version
is *cold* until a call needs it: its name is known, and nothing of it was read. `residency` loads it, and lets go of the
versions whose last call is longest ago. `awaited_versions` has a call wait for a load, `requested_loads` loads and
unloads models for callers that ask for that.

Example with a bound of 2: a and b are loaded, and a was used last. A call for c lets go of b, which is cold again.
"""
