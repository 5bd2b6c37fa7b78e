"""What Prometheus reads: counts kept where requests pass, and turned into metric families only for a scrape.

To add a metric: count it in `metrics` or `model_metrics`, name it in `exposition`, a line in docs/operations.md.
"""
