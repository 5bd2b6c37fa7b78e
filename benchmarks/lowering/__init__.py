"""The lowering beside its peers: accuracy, time and memory of the graphs. ``python -m benchmarks.lowering``."""
