"""Simulate how many replicas a load needs, with measured costs: ``python -m benchmarks.capacity --rate 20000``."""
