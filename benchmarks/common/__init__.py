"""Shared by several benchmarks: the load generator, servers as processes, models to serve, tables and verdicts."""
