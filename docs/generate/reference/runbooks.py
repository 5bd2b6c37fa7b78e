"""One page an alert: its rules, and what docs/operations.md says to do."""

from typing import Any

from docs.generate.sources.alerts import alerts
from docs.generate.text.markdown import headings
from docs.generate.text.tables import code_block, table


def page(heading: str, body: str) -> str:
    """The page of an alert, or the one before all of them.

    Args:
        heading: The section's heading in docs/operations.md: an alert's name, or Alerts.
        body: What stands there.
    """
    if heading in alerts():
        return f"{_rules(heading)}\n## What to do\n\n{body}\n## The rule\n\n{_expressions(heading)}"
    before = "".join(body.splitlines(keepends=True)[: min(line for _, _, line in headings(body))])
    rows = [
        [f"[{name}](#{name.lower()})", ", ".join(dict.fromkeys(rule["labels"]["severity"] for rule in rules))]
        for name, rules in alerts().items()
    ]
    return f"{table(['alert', 'severity'], rows)}\n{before}"


def _rules(name: str) -> str:
    """When it fires and what it says, a line a rule; then where the words of the runbooks are explained."""
    rows = [
        [
            f"**{rule['labels']['severity']}**",
            rule["labels"].get("window", ""),
            rule["for"],
            _shown(rule["annotations"]["summary"]),
        ]
        for rule in alerts()[name]
    ]
    above = "`compose`, and the table that “above” means, are on the page [Alerts](#alerts).\n"
    return f"{table(['severity', 'window', 'fires after', 'what it says'], rows)}\n{above}"


def _expressions(name: str) -> str:
    return "\n".join(code_block("promql", _expression(rule)) for rule in alerts()[name])


def _expression(rule: dict[str, Any]) -> str:
    return str(rule["expr"]).replace(" and ", "\nand ").replace(" unless ", "\nunless ")


def _shown(template: str) -> str:
    """A template of Prometheus as code, so that its braces are not taken for anything else."""
    return f"`{template}`" if "{{" in template else template
