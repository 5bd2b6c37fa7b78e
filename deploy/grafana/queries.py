"""PromQL that panels share: what is chosen at the top of a dashboard, and what is computed from it."""

MODEL = 'model=~"$model"'
VERSION = f'{MODEL},version=~"$version"'
ALL = f'{VERSION},instance=~"$instance"'
# Requests for names that the server does not know have neither model nor version, and never come to a queue.
QUEUED = f'{ALL},version!=""'
PROCESS = 'job="kan-serve",instance=~"$instance"'
ENVOY = 'job="kan-envoy",envoy_cluster_name="kan-serve"'
CALLERS = 'job="kan-envoy",envoy_http_conn_manager_prefix="callers"'
# Health checks and reflection are no requests, as in the rules.
REQUESTS = 'protocol!~"health|reflection"'

SHARES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
OF_VERSION, OF_INSTANCE = "{{model}} {{version}}", "{{model}} {{version}} {{instance}}"


def quantile(share: float, buckets: str, selector: str) -> str:
    """A quantile over all series of buckets that are selected."""
    return f"histogram_quantile({share}, sum by (le) (rate({buckets}{{{selector}}}[$__rate_interval])))"


def mean(histogram: str, selector: str) -> str:
    """A mean over all series of a histogram that are selected."""
    total, count = (f"sum(rate({histogram}_{part}{{{selector}}}[$__rate_interval]))" for part in ("sum", "count"))
    return f"{total} / ({count} > 0)"


def rate(metric: str, selector: str, *labels: str) -> str:
    """What a counter gains in a second, by labels."""
    by = f" by ({', '.join(labels)}) " if labels else ""
    return f"sum{by}(rate({metric}{{{selector}}}[$__rate_interval]))"


def came_up(metric: str, selector: str, label: str) -> str:
    """What a counter gains in a second, by a label whose values must have come up within the time that is shown.

    Servers show many codes and reasons from their start, at zero. A legend of all of them would hide those that matter.
    A value that came up is drawn with its zeros, because a comparison of the rate itself would cut its line. Others are
    there only once they came up, perhaps in one burst between two scrapes, of which no increase tells.
    """
    series = f"{metric}{{{selector}}}"
    gained = f"sum by ({label}) (increase({series}[$__range] @ end())) > 0"
    before = f"sum by ({label}) ({series} @ end() offset $__range)"
    new = f"(sum by ({label}) ({series} @ end()) > 0 unless {before})"
    return f"{rate(metric, selector, label)} and ({gained} or {new})"


def known(expression: str, label: str = "model") -> str:
    """The same, where requests that name no model we know, or none of its versions, say so: their label is empty."""
    return f'label_replace({expression}, "{label}", "unknown", "{label}", "")'
