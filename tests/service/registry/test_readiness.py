"""The reasons why a server gets no requests. Those of batchers and of the watch: test_registry.py, test_versions.py."""

from service.registry.entries import Entries
from service.registry.readiness import Readiness
from service.registry.version_status import State


def test_a_start_says_what_it_waits_for() -> None:
    """For loads, or for storage that did not answer."""
    readiness = Readiness(Entries())
    assert (readiness.ready(), readiness.unready_reason()) == (False, "models are loading")
    readiness.start_error = "no route to host"
    assert (readiness.ready(), readiness.unready_reason()) == (False, "no route to host")


def test_without_a_loaded_model_nothing_is_ready() -> None:
    """A refused version alone makes no server ready, and is not the reason either."""
    entries = Entries()
    readiness = Readiness(entries)
    entries.complete = True
    entries.add("affine", 1).state = State.REFUSED
    assert (readiness.ready(), readiness.unready_reason()) == (False, "no model is ready")


def test_a_server_that_drains_says_nothing_else() -> None:
    """Whatever else is missing: it gets no more requests."""
    entries = Entries()
    readiness = Readiness(entries)
    readiness.start_error, entries.draining = "no route to host", True
    assert (readiness.ready(), readiness.unready_reason()) == (False, "draining")
