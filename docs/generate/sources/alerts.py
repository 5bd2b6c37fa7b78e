"""The alerts of deploy/prometheus/rules, by name."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules"


@cache
def alerts() -> dict[str, list[dict[str, Any]]]:
    """The rules of each alert, in the order of the files; an alert may have several, with windows of their own."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in (_RULES / "alerts.yaml", _RULES / "monitoring.yaml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], []).append(rule)
    return found
