"""Puts the rows of several requests into one run, and gives each request its own rows back.

Rows in, a callable, rows out: nothing here knows gRPC, protobuf or onnxruntime. Example: while a run of 3 rows is busy,
requests of 2, 5 and 1 rows arrive; the next run has 8 rows, and its outputs are split at 2 and 7.
"""
