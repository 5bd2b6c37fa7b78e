"""The reasons why a server gets no requests. Those of batchers and of the watch: test_registry.py, test_versions.py."""

from contextlib import closing

import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import ModelNotFound, ModelNotReady
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.worker_versions import WorkerVersions
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
    """A refused version makes no server ready, and the reason names the first one."""
    entries = Entries()
    readiness = Readiness(entries)
    entries.complete = True
    assert (readiness.ready(), readiness.unready_reason()) == (False, "no model is ready")
    entry = entries.add("affine", 1)
    entry.state, entry.reason = State.REFUSED, "it is damaged"
    reason = "no model is ready: affine version 1 was refused (it is damaged)"
    assert (readiness.ready(), readiness.unready_reason()) == (False, reason)
    entries.add("affine", 2).state = State.REFUSED
    assert readiness.unready_reason() == f"{reason}, and 1 more"


def test_a_server_that_drains_says_nothing_else() -> None:
    """Whatever else is missing: it gets no more requests."""
    entries = Entries()
    readiness = Readiness(entries)
    readiness.start_error, entries.draining = "no route to host", True
    assert (readiness.ready(), readiness.unready_reason()) == (False, "draining")


def test_a_crash_loop_makes_the_server_unready() -> None:
    """A worker does not report it to its parent as a reason, which would prolong the loop."""
    with closing(Flags()) as flags:
        versions = WorkerVersions(lambda **_: None, flags)
        entries = Entries()
        readiness = Readiness(entries, versions)
        entries.complete = True
        entries.add("affine", 1).state = State.COLD
        assert readiness.ready()
        versions.take({"crash loop": True})
        assert (readiness.ready(), readiness.unready_reason()) == (False, "")
        versions.take({"crash loop": False})
        assert readiness.ready()


def test_statuses_come_in_order() -> None:
    """By name, then by number; one of a model is the latest."""
    entries = Entries()
    for name, version in (("b", 10), ("b", 9), ("a", 1)):
        entries.add(name, version).state = State.READY
        entries.choose_latest(name)
    found = [(status.name, status.version, status.latest) for status in Readiness(entries).statuses()]
    assert found == [("a", 1, True), ("b", 9, False), ("b", 10, True)]


def test_a_version_that_does_not_answer_says_why() -> None:
    """Refused or not readable, with the reason; otherwise it is loading. Listings omit the latter."""
    entries = Entries()
    statuses = Readiness(entries).statuses
    entry = entries.add("affine", 1)
    entry.manifest = ModelManifest(name="affine")
    assert (entry.unready_reason(), statuses()[0].reason) == ("it is loading", "")
    entry.reason = "no route to host"
    assert (entry.unready_reason(), statuses()[0].reason) == ("no route to host", "no route to host")
    entry.state = State.REFUSED
    assert entry.unready_reason() == "it was refused: no route to host"
    assert statuses()[0].manifest is entry.manifest
    assert not statuses()[0].answers


def test_a_probe_tells_what_a_call_would_meet() -> None:
    """A cold version answers after a load, so it has no model yet. An unknown or refused one is told as a call is."""
    entries = Entries()
    readiness = Readiness(entries)
    entries.complete = True
    entries.add("affine", 1).state = State.COLD
    entries.choose_latest("affine")
    assert readiness.probe("affine") is readiness.probe("affine", 1) is None
    assert readiness.ready()
    with pytest.raises(ModelNotFound):
        readiness.probe("affine", 2)
    entries.add("affine", 2).state = State.REFUSED
    with pytest.raises(ModelNotReady, match="refused"):
        readiness.probe("affine", 2)
