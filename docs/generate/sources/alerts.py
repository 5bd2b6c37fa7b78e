"""The alerts of deploy/prometheus/rules, by name."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules"


@cache
def alerts() -> dict[str, list[dict[str, Any]]]:
    """The rules of each alert, by the files' names; an alert may have several, with windows of their own."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(_RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], []).append(rule)
    return found
