"""What several benchmarks share: the load generator, servers as processes, models to serve, tables and verdicts."""
