"""The Prometheus Operator's PrometheusRule objects, made from the rule files that compose's Prometheus reads.

The Helm chart, which cannot read outside its folder, gets the same rules, and puts the rest around them by itself.

Run as ``python deploy/kubernetes/monitoring.py`` to write them, with ``--check`` to see whether they are in step.
"""

import sys
import textwrap
from pathlib import Path

from deploy.generated import write_or_check

_DEPLOY = Path(__file__).parents[1]
_RULES = _DEPLOY / "prometheus" / "rules"
_COMPONENT = _DEPLOY / "kubernetes" / "components" / "monitoring"
_CHART = _DEPLOY / "kubernetes" / "helm" / "rules"

# monitoring.yaml is left out: it watches compose's own Prometheus and Alertmanager, and a cluster watches its own.
RULE_FILES = ("recording.yaml", "alerts.yaml", "drift.yaml")

_MADE = "# Made by deploy/kubernetes/monitoring.py from deploy/prometheus/rules/{file}: change it there.\n"
_HEAD = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: kan-serve-{name}
  labels:
    app.kubernetes.io/name: kan-serve
spec:
"""


def files() -> dict[Path, str]:
    """Every file that is made, by its path: for each rule file a PrometheusRule, and a copy in the chart.

    Raises:
        OSError: A rule file is absent.
    """
    made = {}
    for file in RULE_FILES:
        text = (_RULES / file).read_text()
        made[_COMPONENT / f"rules-{file}"] = prometheus_rule(file, text)
        made[_CHART / file] = _MADE.format(file=file) + text
    return made


def prometheus_rule(file: str, text: str) -> str:
    """A rule file as the `spec` of a PrometheusRule, whose groups have the same form; comments and quotes stay.

    Args:
        file: Its name, such as "alerts.yaml".
        text: What it holds.
    """
    head = (_MADE + _HEAD).format(file=file, name=file.removesuffix(".yaml"))
    return head + textwrap.indent(text, "  ")


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
