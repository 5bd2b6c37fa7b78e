"""Experiments of arXiv 2404.19756, repeated. Each is a command: ``python -m benchmarks.paper.staircase``."""
