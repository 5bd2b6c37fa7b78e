"""The metrics of several worker processes as one exposition with exact sums.

Each worker writes its counts into files that are mapped into memory (`cells`, `worker_metrics`), at the moment it
counts. The parent process reads them at a scrape and adds them up (`merged_metrics`). So the counts of a worker that
was killed stay: the files belong to the system, not to the worker. Example: two workers answered 3 and 4 requests,
and the second was killed; /metrics shows 7, and 8 after the next request.

A path names each number: ("rejections", "overload") is a count. A path that begins with "now" is a gauge, which ends
with its worker.
"""
