"""Models of the default recipe beside boosted trees, EBM, MLPs and linear ones on real tables.

``python -m benchmarks.tables`` (``make bench-tables``). `sources` names the tables: the choosing half is for choosing
the defaults of kan-train, the reported half is never tuned on.
"""
