"""``python -m service`` is kan-serve."""

from service.cli import run

run()
