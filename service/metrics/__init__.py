"""The metrics for Prometheus. Requests only increase counts; a scrape turns them into metric families.

To add a metric: count it in `metrics` or `model_metrics`, name it in `exposition`, add a line to docs/operations.md.
"""
