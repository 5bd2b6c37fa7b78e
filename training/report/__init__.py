"""What people read after a run: report.html, its charts, and the lines at the end of a command."""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "training.report.report")
