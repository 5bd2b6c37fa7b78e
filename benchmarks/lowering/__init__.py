"""The lowering compared with peers: accuracy, time and memory of the graphs. ``python -m benchmarks.lowering``."""
