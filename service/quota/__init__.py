"""Quotas in rows a second: `bucket` counts the rows, `quotas` has the buckets, `levels` shares them among processes."""
