"""The table of versions: the entry for a request, and the latest version."""

from types import SimpleNamespace

import pytest

from service.errors import ModelNotFound, ModelNotReady
from service.registry.entries import Entries, Entry
from service.registry.readiness import Readiness
from service.registry.version_status import State


def _ready(entries: Entries, name: str, version: int) -> Entry:
    entry = entries.add(name, version)
    entry.state = State.READY
    entries.choose_latest(name)
    return entry


def test_the_latest_is_the_newest_that_is_ready() -> None:
    """The highest number, in any order of loads. After its removal the previous one is latest, in the end none."""
    entries = Entries()
    second, first = _ready(entries, "affine", 2), _ready(entries, "affine", 1)
    entries.add("affine", 10)
    assert entries.latest("affine") is second
    assert entries.find("affine", None, complete=True) is second
    entries.remove(second)
    assert entries.latest("affine") is first
    assert entries.ready() == {("affine", 1)}
    entries.remove(first)
    entries.remove(entries.add("affine", 10))
    assert entries.latest("affine") is None
    assert (list(entries), entries.names()) == ([], [])


def test_an_entry_is_made_once() -> None:
    """A second call gives the same entry. Reading the entries of a model creates none."""
    entries = Entries()
    assert entries.add("affine", 1) is entries.add("affine", 1)
    assert dict(entries.of("other")) == {}
    assert entries.names() == ["affine"]


def test_what_is_not_there_is_told_by_kind() -> None:
    """An unknown name lists the known ones; during loads it is not ready yet.

    If no version answers, the newest is given.
    """
    entries = Entries()
    with pytest.raises(ModelNotReady, match="loading"):
        entries.find("affine", None, complete=False)
    newest = max((entries.add("affine", version) for version in (3, 1)), key=lambda entry: entry.version)
    assert entries.find("affine", None, complete=True) is newest
    with pytest.raises(ModelNotFound, match="1, 3"):
        entries.find("affine", 2, complete=True)
    with pytest.raises(ModelNotFound, match=r"'a{80}…'"):
        entries.find("a" * 100, None, complete=True)


def test_a_superseded_version_is_not_the_latest() -> None:
    """It answers by its number, yet an older one that is ready is the latest, and it is not among those."""
    entries = Entries()
    superseded, older = _ready(entries, "affine", 2), _ready(entries, "affine", 1)
    superseded.state = State.LINGERING
    entries.choose_latest("affine")
    assert entries.latest("affine") is older
    assert entries.ready() == {("affine", 1)}
    older.state = State.REFUSED
    entries.choose_latest("affine")
    assert entries.latest("affine") is None
    assert [status.answers for status in Readiness(entries).statuses()] == [False, True]


def test_entries_may_change_during_an_iteration() -> None:
    """It gives those that were there at its beginning. A model whose versions were all removed has no name any more."""
    entries = Entries()
    for name, version in (("a", 1), ("a", 2), ("b", 1)):
        entries.add(name, version)
    seen = []
    for entry in entries:
        seen.append((entry.name, entry.version))
        entries.remove(entry)
        entries.add("c", len(seen))
    assert seen == [("a", 1), ("a", 2), ("b", 1)]
    assert entries.names() == ["c"]
    with pytest.raises(ModelNotFound, match=r"there is c$"):
        entries.find("a", None, complete=True)


@pytest.mark.parametrize(("count", "end"), [(20, "m18, m19"), (22, "m18, m19 and 2 more")])
def test_a_message_lists_a_bounded_number_of_names(count: int, end: str) -> None:
    """Sorted, so that the nearest names are found."""
    entries = Entries()
    for number in reversed(range(count)):
        entries.add(f"m{number:02}", 1)
    with pytest.raises(ModelNotFound) as caught:
        entries.find("x" * 80, None, complete=True)
    message = str(caught.value)
    assert f"'{'x' * 80}' is unknown" in message
    assert "m00, m01, " in message
    assert message.endswith(end)


def test_an_armed_version_takes_over_at_the_moment_of_the_switch() -> None:
    """Before its load has ended, and whatever else chooses the latest meanwhile; its removal disarms it."""
    entries, switched = Entries(), [False]
    first, second = _ready(entries, "affine", 1), entries.add("affine", 2)
    entries.arm(second, lambda: switched[0])
    assert entries.find("affine", None, complete=True) is first
    switched[0] = True
    assert entries.find("affine", None, complete=True) is second
    entries.choose_latest("affine")
    assert entries.find("affine", None, complete=True) is second
    assert entries.find("affine", 1, complete=True) is first
    second.state = State.READY
    entries.choose_latest("affine")
    switched[0] = False
    assert entries.latest("affine") is entries.find("affine", None, complete=True) is second
    third, fourth = entries.add("affine", 3), entries.add("affine", 4)
    entries.arm(third, lambda: True)
    entries.remove(third)
    assert entries.find("affine", None, complete=True) is second
    entries.arm(fourth, lambda: True)
    entries.arm(entries.add("affine", 5), lambda: False)  # before the load of the fourth has ended
    assert entries.find("affine", None, complete=True) is fourth


def test_a_version_whose_model_is_replaced_stays_armed() -> None:
    """Settings that let an earlier version take over may have its model made anew."""
    entries = Entries()
    first, _ = _ready(entries, "affine", 1), _ready(entries, "affine", 2)
    entries.arm(first, lambda: True)
    entries.replace(first, digest="b")
    assert entries.find("affine", None, complete=True) is entries.of("affine")[1]
    assert entries.of("affine")[1].digest == "b"


def test_an_armed_version_answers_after_its_switch_also_as_the_only_one() -> None:
    """By its number it answers at once. After an unload no other version answers before the switch."""
    entries, switched = Entries(), [False]
    entry = entries.add("affine", 2)
    entry.model = SimpleNamespace(batcher=SimpleNamespace(alive=True), leases=1)  # type: ignore[assignment]
    entries.arm(entry, lambda: switched[0])
    with pytest.raises(ModelNotReady, match="other workers are not ready for it yet"):
        entries.lease("affine")
    with entries.lease("affine", 2) as model:
        assert model is entry.model
    switched[0] = True
    with entries.lease("affine") as model:
        assert model is entry.model


def test_an_earlier_version_is_armed_and_disarmed() -> None:
    """A withdrawn version answers until the switch back, and goes on if the workers do not switch."""
    entries, switched = Entries(), [False]
    first, second = _ready(entries, "affine", 1), _ready(entries, "affine", 2)
    for answer in (second, first):
        entries.arm(first, lambda: switched[0])
        assert entries.find("affine", None, complete=True) is entries.answering("affine") is second
        switched[0] = answer is first
        if answer is second:
            entries.arm(first, None)
        entries.choose_latest("affine")
        assert entries.find("affine", None, complete=True) is entries.answering("affine") is answer
    entries.remove(second)
    assert entries.latest("affine") is first
