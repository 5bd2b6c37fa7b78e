"""Experiments of arXiv 2404.19756 run again here. Each is a command: ``python -m benchmarks.paper.staircase``."""
