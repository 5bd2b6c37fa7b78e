"""The promises of deploy/prometheus/rules as colours: orange where a ticket is written, red where someone is woken."""

from deploy.grafana.panels import Steps

# Someone is woken where the budget of 30 days is spent 14.4 times too fast.
FAILED: Steps = ((None, "green"), (0.001, "orange"), (0.0144, "red"))
SLOW: Steps = ((None, "green"), (0.01, "orange"), (0.144, "red"))
SECONDS: Steps = ((None, "green"), (0.05, "orange"))
QUEUE: Steps = ((None, "green"), (0.8, "orange"), (1, "red"))
DESCRIPTORS: Steps = ((None, "green"), (0.8, "orange"))
REPLICAS: Steps = ((None, "red"), (1, "orange"), (2, "green"))
# Nothing left is red; less than a quarter is worth a look, though no rule says so.
BUDGET: Steps = ((None, "red"), (0, "orange"), (0.25, "green"))
PAGES: Steps = ((None, "green"), (1, "red"))
TICKETS: Steps = ((None, "green"), (1, "orange"))
ANSWERS: Steps = ((None, "orange"), (1, "green"))
SHED: Steps = ((None, "green"), (0.01, "orange"))
DRIFT: Steps = ((None, "green"), (0.25, "orange"))
READY: Steps = ((None, "red"), (1e-9, "orange"), (1, "green"))
SEVERITIES = (("page", "red"), ("ticket", "orange"))


def runbook(*sections: str) -> str:
    """Where to read on, as alerts say it: a file of the repository, which Grafana has no address for."""
    return " Runbook: " + ", ".join(f"docs/operations.md#{section.lower()}" for section in sections)
