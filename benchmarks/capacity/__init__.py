"""How many replicas a load needs, simulated with measured costs. ``python -m benchmarks.capacity --rate 20000``."""
