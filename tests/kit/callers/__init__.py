"""Callers of a server.

- `calls`, `protocols`: one request in each protocol, as messages and as bytes.
- `load`: callers that never pause. `http1`, `http2`: by hand, for callers that behave badly.
"""
