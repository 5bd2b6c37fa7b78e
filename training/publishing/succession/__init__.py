"""What the next version of a model owes the newest one: the inputs that it needs, and the promises that callers know.

Other inputs are refused (:mod:`kan_api.compatibility`); `restoring` names the keys that bring them back. A promise that
is not made again is told and not refused, since a person may mean it; `promises` says which, and names its keys.
"""
