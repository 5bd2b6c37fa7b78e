"""The output of a run for people: report.html, its charts, and the lines that a command prints at its end."""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "training.report.report")
