"""The agreement on versions: a version answers when every worker has it, and no caller sees one go back."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.member import Member
from service.process.workers.agreement.versions import Versions
from service.settings.version_policy import VersionPolicy, parse_version_policy
from tests.kit.waiting import run_test


class Worker:
    """One worker: what it was told, and the version that it answers with."""

    def __init__(self, versions: Versions, flags: Flags) -> None:
        self.versions, self.flags = versions, flags
        self.told: list[dict[str, Any]] = []
        self.numbers = count(1)
        self.waiting: dict[int, int] = {}
        self.served: set[int] = set()
        self.armed: tuple[int, int] | None = None
        self.withdrawn: tuple[int, int] | None = None
        self.way = 0
        self.asks = self.listens = False
        self.lefts = 0
        self.member: Member = versions.add(lambda **message: self.told.append(message))

    def say(self, **message: Any) -> None:
        """Send the parent a message."""
        self.versions.take(self.member, message)

    def load(self, version: int, digest: str = "a") -> None:
        """Load a version."""
        self.waiting[version] = next(self.numbers)
        self.say(loading=["digits", version])
        self.say(loaded=["digits", version, digest, self.waiting[version]])

    def loaded_all(self) -> None:
        """Ask for leave to listen, once."""
        if not self.asks:
            self.asks = True
            self.say(**{"loaded all": True})

    def obey(self, at_most: int = 100) -> None:
        """Carry out orders, as a worker does."""
        for order in self.told[:at_most]:
            self.told.remove(order)
            match order:
                case {"arm": [_, version, place, number]} if self.waiting.get(version) == number:
                    self.armed = version, place
                    self.say(armed=["digits", version, place])
                case {"disarm": [_, version, number]} if self.waiting.get(version) == number:
                    self.armed = None
                case {"arm back": [_, version, place, number]} if self.withdrawn is not None and self.way == number:
                    self.armed = version, place
                    self.say(armed=["digits", version, place])
                case {"serve": [_, version, number]} if self.waiting.get(version) == number:
                    self.served.add(version)
                    self.end(version)
                case {"end back": [_, is_back, number]} if self.withdrawn is not None and self.way == number:
                    _, successor = self.withdrawn
                    self.armed = self.withdrawn = None
                    if is_back:
                        for newer in {each for each in self.served if each > successor}:
                            self.leave(newer)
                case {"refuse": [_, version, _, number]} if self.waiting.get(version) == number:
                    self.end(version)
                case {"listen": lefts} if lefts == self.lefts:
                    self.listens = True
                case {"listen": _}:
                    self.say(**{"loaded all": True})

    def end(self, version: int) -> None:
        """A version is served, or not for now: nothing waits for it any more."""
        self.waiting.pop(version, None)
        if self.armed is not None and self.armed[0] == version:
            self.armed = None

    def goes_back_to(self, version: int) -> bool:
        """Whether it has reported that it would go back to a version."""
        return self.withdrawn is not None and self.withdrawn[1] == version

    def withdraw(self, version: int, successor: int) -> None:
        """Report that it would go back from a version to an earlier one, or with 0 that it would not any more."""
        self.withdrawn = (version, successor) if successor else None
        self.way = next(self.numbers)
        self.say(withdrawn=["digits", version, successor, self.way])

    def leave(self, version: int) -> None:
        """Answer with a version no longer."""
        if self.withdrawn is not None and version in self.withdrawn:
            self.withdraw(self.withdrawn[0], 0)
        self.end(version)
        self.served.discard(version)
        self.lefts += 1
        self.say(left=["digits", version])

    def follow(self, newest: int) -> None:
        """Look at a repository with this newest version: load it, and leave the others once it is served.

        A newer one that it serves is withdrawn. It is left together with the other workers.
        """
        self.obey()
        self.follow_only(newest)

    def follow_only(self, newest: int) -> None:
        """The same, before orders that are on their way have come. Newer versions that wait are not waited for."""
        for version in [each for each in self.waiting if each > newest and self.armed is None]:
            self.leave(version)
        if newest not in self.waiting.keys() | self.served:
            self.load(newest)
            self.obey()
        if newest not in self.served or (self.armed is not None and self.goes_back_to(self.armed[0])):
            return
        latest = max(self.served)
        if self.withdrawn is not None and latest == newest:
            self.withdraw(self.withdrawn[0], 0)
        elif latest > newest and self.withdrawn != (latest, newest):
            self.withdraw(latest, newest)
        for version in self.served - {newest, latest}:
            self.leave(version)

    def answer(self) -> int:
        """The latest version, as a caller sees it now; 0 for none."""
        if self.armed is not None and self.flags.is_set(self.armed[1]):
            return self.armed[0]
        return max(self.served, default=0)


@pytest.fixture
def flags() -> Iterator[Flags]:
    """The flags of parent and workers."""
    with closing(Flags()) as made:
        yield made


@pytest.fixture
def versions(flags: Flags) -> Versions:
    """The parent's side."""
    return Versions(flags, VersionPolicy(), polls=True)


def serving(versions: Versions, flags: Flags, version: int = 1) -> Worker:
    """A worker that takes calls with a version."""
    worker = Worker(versions, flags)
    worker.load(version)
    worker.obey()
    worker.loaded_all()
    worker.obey()
    assert (worker.listens, worker.answer()) == (True, version)
    return worker


def test_all_workers_switch_at_one_moment(versions: Versions, flags: Flags) -> None:
    """A version answers nowhere until every worker has loaded and armed it, and then everywhere."""
    workers = [serving(versions, flags) for _ in range(3)]
    for worker in workers[:2]:
        worker.load(2)
        worker.obey()
    assert [each.answer() for each in workers] == [1, 1, 1]
    workers[2].load(2)
    for worker in workers[:2]:
        worker.obey()
    assert [each.answer() for each in workers] == [1, 1, 1]
    workers[2].obey(at_most=1)
    assert [each.answer() for each in workers] == [2, 2, 2]
    for worker in workers:
        worker.obey()
    assert [each.answer() for each in workers] == [2, 2, 2]


def test_a_version_that_one_worker_refuses_counts_as_refused(versions: Versions, flags: Flags) -> None:
    """The others are told the reason, before or after their load. When that worker loads it again it may serve."""
    first, second = serving(versions, flags), serving(versions, flags)
    first.load(2)
    second.say(loading=["digits", 2])
    second.say(refused=["digits", 2, "too little memory"])
    assert [each["refuse"][2] for each in first.told] == ["another worker refused it: too little memory"]
    first.obey()
    first.load(2)
    assert "refuse" in first.told[0]
    first.obey()
    second.load(2)
    assert second.told == []
    first.load(2)
    for worker in (first, second, first, second):
        worker.obey()
    assert (first.answer(), second.answer()) == (2, 2)


def test_a_worker_that_starts_takes_calls_only_with_what_others_serve(versions: Versions, flags: Flags) -> None:
    """Neither an older version nor a newer one: the first waits for the newer, the second for the others."""
    old = serving(versions, flags, 2)
    late = Worker(versions, flags)
    late.load(1)
    late.obey()
    late.loaded_all()
    late.obey()
    assert not late.listens
    late.load(2)
    late.obey()
    assert late.listens
    early = Worker(versions, flags)
    early.load(3)
    early.loaded_all()
    early.obey()
    assert (early.listens, early.answer()) == (False, 0)
    for worker in (old, late):
        worker.load(3)
    for worker in (old, late, early):
        worker.obey()
    assert [each.answer() for each in (old, late, early)] == [3, 3, 3]
    assert early.listens


def test_a_worker_that_starts_takes_no_leave_that_it_has_outrun(versions: Versions, flags: Flags) -> None:
    """It finds the version withdrawn while the order to serve it, and the leave to listen with it, are on their way."""
    first, late = serving(versions, flags, 2), Worker(versions, flags)
    late.loaded_all()
    late.load(2)
    late.leave(2)
    late.follow(1)
    assert (late.listens, late.answer()) == (False, 1)
    first.follow(1)
    obey_all(first, late)
    assert (late.listens, first.answer(), late.answer()) == (True, 1, 1)


def test_other_bytes_under_one_number_are_refused(versions: Versions, flags: Flags) -> None:
    """A worker that starts with other bytes is refused; if nobody serves the version yet, all are."""
    first, second = serving(versions, flags), Worker(versions, flags)
    second.load(1, "b")
    assert "other bytes" in second.told[0]["refuse"][2]
    second.obey()
    second.loaded_all()
    second.obey()
    assert not second.listens
    second.load(1)
    second.obey()
    assert second.listens
    first.load(2, "a")
    second.load(2, "b")
    why = "another worker has other bytes under this number; publish them as a new version"
    for worker in (first, second):
        assert [each["refuse"][:3] for each in worker.told] == [["digits", 2, why]]


def test_other_bytes_that_come_during_a_switch_stop_nobody(versions: Versions, flags: Flags) -> None:
    """A worker that starts with other bytes is refused after the switch; the others switch."""
    first, second = serving(versions, flags), serving(versions, flags)
    first.load(2)
    second.load(2)
    first.obey()
    late = Worker(versions, flags)
    late.load(2, "b")
    assert late.told == []
    second.obey()
    assert (first.answer(), second.answer()) == (2, 2)
    assert "other bytes" in late.told[0]["refuse"][2]


@pytest.mark.parametrize("armed", [False, True])
def test_a_worker_that_ends_holds_nobody_up(versions: Versions, flags: Flags, armed: bool) -> None:
    """A switch that waits for a worker goes on without it."""
    first, second = serving(versions, flags), serving(versions, flags)
    first.load(2)
    if armed:
        second.load(2)
    first.obey()
    assert first.answer() == 1
    versions.remove(second.member)
    first.obey()
    assert first.answer() == 2


def test_when_nobody_serves_any_version_may_begin(versions: Versions, flags: Flags) -> None:
    """After the end of all workers their version is not waited for: its files may be gone."""
    first = serving(versions, flags, 3)
    versions.remove(first.member)
    serving(versions, flags, 2)


@pytest.mark.parametrize("how", ["left", "ended", "in a switch"])
def test_a_model_that_nobody_serves_any_more_is_awaited_of_nobody(versions: Versions, flags: Flags, how: str) -> None:
    """After an unload a worker that starts takes calls without the model; later any version of it may begin."""
    first, second = serving(versions, flags, 3), serving(versions, flags, 3)
    other = Worker(versions, flags)
    other.loaded_all()
    if how == "in a switch":
        first.load(4)
        second.load(4)
        for worker in (first, second):
            worker.say(left=["digits", 4])
    first.say(left=["digits", 3])
    other.obey()
    assert not other.listens
    if how == "ended":
        versions.remove(second.member)
    else:
        second.say(left=["digits", 3])
    other.obey()
    assert other.listens


def test_an_older_version_is_served_by_its_number_at_once(versions: Versions, flags: Flags) -> None:
    """A version that one worker found late, or that a caller named, waits for nobody."""
    first, _ = serving(versions, flags, 3), serving(versions, flags, 3)
    first.load(2)
    first.obey()
    assert first.served == {2, 3}
    assert first.answer() == 3


def obey_all(*workers: Worker) -> None:
    """Have workers carry out orders until there are none."""
    while any(worker.told for worker in workers):
        for worker in workers:
            worker.obey()


def serving_three(versions: Versions, flags: Flags) -> tuple[Worker, Worker]:
    """Two workers that answer with version 3, and still have 2 and 1."""
    workers = serving(versions, flags, 3), serving(versions, flags, 3)
    for worker in workers:
        worker.load(2)
        worker.load(1)
        worker.obey()
        assert worker.served == {1, 2, 3}
    return workers


def test_all_workers_go_back_at_one_moment(versions: Versions, flags: Flags) -> None:
    """The withdrawn version answers everywhere until every worker has armed the one before, and then nowhere."""
    workers = [serving(versions, flags, 2) for _ in range(3)]
    for worker in workers:
        assert [each.answer() for each in workers] == [2, 2, 2]
        worker.follow(1)
    for worker in workers:
        assert [each.answer() for each in workers] == [2, 2, 2]
        worker.obey(at_most=1)
    assert [each.answer() for each in workers] == [1, 1, 1]
    obey_all(*workers)
    assert [each.served for each in workers] == [{1}, {1}, {1}]
    assert serving(versions, flags, 1).listens


@pytest.mark.parametrize("armed", [False, True])
def test_a_worker_that_ends_keeps_nobody_from_going_back(versions: Versions, flags: Flags, armed: bool) -> None:
    """Whether it had noticed the withdrawal or not."""
    first, second = serving(versions, flags, 2), serving(versions, flags, 2)
    first.follow(1)
    if armed:
        second.follow(1)
    first.obey()
    assert first.answer() == 2
    versions.remove(second.member)
    obey_all(first)
    assert (first.answer(), first.served) == (1, {1})


def test_workers_that_would_go_back_to_different_versions_wait(versions: Versions, flags: Flags) -> None:
    """One has seen that 3 is gone, and the other that 2 is gone too. The first looks again while the second waits."""
    first, second = serving(versions, flags, 3), serving(versions, flags, 3)
    first.follow(2)
    second.follow(1)
    obey_all(first, second)
    assert (first.answer(), second.answer()) == (3, 3)
    first.follow(1)
    obey_all(first, second)
    assert (first.answer(), second.answer()) == (1, 1)
    assert first.served == second.served == {1}


@pytest.mark.parametrize("how", ["it comes back", "the other one is gone too", "an unload"])
def test_a_worker_that_has_changed_its_mind_keeps_all_from_going_back(
    versions: Versions, flags: Flags, how: str
) -> None:
    """The order to arm the version before is on its way to it, and another worker has armed it already."""
    first, second = serving_three(versions, flags)
    first.withdraw(3, 2)
    second.withdraw(3, 2)
    first.obey()
    match how:
        case "it comes back":
            second.follow_only(3)
        case "the other one is gone too":
            second.follow_only(1)
        case "an unload":
            for version in (3, 2):
                second.leave(version)
    obey_all(first, second)
    assert first.answer() == 3
    assert (first.withdrawn, first.armed) == (None, None)
    if how == "it comes back":
        first.follow(2)
        second.follow(2)
        obey_all(first, second)
        assert (first.answer(), second.answer()) == (2, 2)
    if how == "the other one is gone too":
        first.follow(1)
        second.follow(1)
        obey_all(first, second)
        assert (first.answer(), second.answer()) == (1, 1)


def test_a_worker_follows_one_that_has_gone_back_alone(versions: Versions, flags: Flags) -> None:
    """At once: the other one has nothing to arm."""
    first, second = serving_three(versions, flags)
    first.withdraw(3, 2)
    first.leave(3)
    second.withdraw(3, 2)
    obey_all(first, second)
    assert (first.answer(), second.answer()) == (2, 2)


def test_what_was_armed_for_a_switch_that_was_called_off_does_not_count(versions: Versions, flags: Flags) -> None:
    """The same version is armed again, with another flag, before the old answer has come."""
    first, second = serving_three(versions, flags)
    for worker in (first, second):
        worker.withdraw(3, 2)
    (place,) = {worker.told[-1]["arm back"][2] for worker in (first, second)}
    second.withdraw(3, 0)
    first.obey()
    second.told.clear()  # it has carried them out, and its answer is on its way
    for worker in (first, second):
        worker.withdraw(3, 2)
    second.say(armed=["digits", 2, place])
    first.obey()
    assert (first.answer(), second.answer()) == (3, 3)
    second.obey()
    assert (first.answer(), second.answer()) == (2, 2)


def test_a_newer_version_takes_the_place_of_a_withdrawn_one(versions: Versions, flags: Flags) -> None:
    """What workers wanted to go back from is superseded: nobody goes back then."""
    first, second = serving(versions, flags, 2), serving(versions, flags, 2)
    first.follow(1)
    for worker in (first, second):
        worker.load(3)
    second.load(1)
    second.obey()
    second.withdraw(2, 1)
    obey_all(first, second)
    assert (first.answer(), second.answer()) == (3, 3)


def test_nobody_goes_back_during_a_change_of_settings(versions: Versions, flags: Flags) -> None:
    """The change waits for workers that do so already; others do it after the change."""

    async def check() -> None:
        first, second = serving_three(versions, flags)
        for worker in (first, second):
            worker.withdraw(3, 2)
        held = asyncio.create_task(versions.hold())
        await asyncio.sleep(0)
        assert not held.done()
        obey_all(first, second)
        await held
        for worker in (first, second):
            worker.withdraw(2, 1)
        obey_all(first, second)
        assert (first.answer(), second.answer()) == (2, 2)
        versions.release()
        obey_all(first, second)
        assert (first.answer(), second.answer()) == (1, 1)

    run_test(check())


def test_a_worker_that_starts_after_a_rollback_takes_calls(versions: Versions, flags: Flags) -> None:
    """It serves the version to which all went back, and the withdrawn one is awaited of nobody.

    While others answer with the withdrawn version, a worker that starts with the one before waits. One that has
    started with the withdrawn version goes back by itself.
    """
    first, second = serving(versions, flags, 2), serving(versions, flags, 2)
    late, later = Worker(versions, flags), Worker(versions, flags)
    later.load(2)
    obey_all(later)
    first.follow(1)
    for worker in (late, later):
        worker.follow(1)
        worker.loaded_all()
    obey_all(first, late, later)
    assert [each.answer() for each in (first, second, late, later)] == [2, 2, 1, 1]
    assert not late.listens
    assert not later.listens
    second.follow(1)
    obey_all(first, second, late, later)
    assert late.listens
    assert later.listens
    assert [each.answer() for each in (first, second, late, later)] == [1, 1, 1, 1]
    versions.remove(first.member)
    assert serving(versions, flags, 1).listens


@pytest.mark.parametrize("how", ["left", "ended"])
def test_a_worker_that_refused_a_version_takes_calls_after_its_rollback(
    versions: Versions, flags: Flags, how: str
) -> None:
    """Its file was damaged while others served it: they go back, or one of them ends."""
    first, second = serving(versions, flags, 2), serving(versions, flags, 2)
    late = Worker(versions, flags)
    late.say(loading=["digits", 2])
    late.say(refused=["digits", 2, "its sha256 differs"])
    late.follow(1)
    late.loaded_all()
    late.obey()
    assert (late.listens, late.answer()) == (False, 1)
    first.follow(1)
    if how == "left":
        second.follow(1)
    else:
        versions.remove(second.member)
    obey_all(first, second, late)
    assert late.listens


def test_a_version_that_is_rolled_back_during_its_switch_binds_nobody(versions: Versions, flags: Flags) -> None:
    """Every worker that had armed it has left it: the version before is the latest one again."""
    first, second = serving(versions, flags), serving(versions, flags)
    first.load(2)
    second.load(2)
    first.leave(2)
    second.leave(2)
    for worker in (first, second):
        worker.told.clear()
    assert [each.answer() for each in (first, second, serving(versions, flags))] == [1, 1, 1]


def test_a_version_that_one_worker_leaves_during_its_switch_is_switched_to_by_nobody(
    versions: Versions, flags: Flags
) -> None:
    """Another one has armed it, or is about to. Once all have it again they switch."""
    first, second, third = [serving(versions, flags) for _ in range(3)]
    workers = (first, second, third)
    for worker in workers:
        worker.load(2)
    first.obey()
    second.leave(2)
    obey_all(*workers)
    assert [each.answer() for each in workers] == [1, 1, 1]
    assert first.armed is None
    assert serving(versions, flags).listens
    second.load(2)
    second.leave(2)
    second.load(2)
    obey_all(*workers)
    assert [each.answer() for each in workers] == [1, 1, 1]  # the one that has started since lacks it
    versions.remove(versions.members[3])
    obey_all(*workers)
    assert [each.answer() for each in workers] == [2, 2, 2]


def test_after_a_rollback_a_later_version_is_agreed_on_again(versions: Versions, flags: Flags) -> None:
    """Version 2 of three comes back after the rollback to 1: no worker answers with it before all have it."""
    first, second = serving(versions, flags, 3), serving(versions, flags, 3)
    for worker in (first, second):
        worker.follow(1)
    obey_all(first, second)
    first.load(2)
    first.obey()
    assert (first.answer(), second.answer()) == (1, 1)
    second.load(2)
    for worker in (first, second):
        worker.obey()
    assert (first.answer(), second.answer()) == (2, 2)


def test_a_version_that_the_policy_brought_back_is_not_raised_again(versions: Versions, flags: Flags) -> None:
    """Workers that still have the version before it, now forbidden, leave it one after another; 1 stays the latest."""
    first, second = serving(versions, flags, 2), serving(versions, flags, 2)
    for worker in (first, second):
        worker.load(1)
        worker.obey()
    versions.change(0, parse_version_policy("latest,digits=1"), {"digits": 1})
    late = Worker(versions, flags)
    late.follow(1)
    late.loaded_all()
    for worker in (first, second):
        worker.leave(2)
    obey_all(first, second, late)
    assert late.listens
    assert [each.answer() for each in (first, second, late)] == [1, 1, 1]


def test_a_version_that_is_unloaded_during_a_change_of_settings_is_awaited_of_nobody(
    versions: Versions, flags: Flags
) -> None:
    """It would have taken over with them. A worker that starts takes calls without the model."""
    for worker in (serving(versions, flags, 1), serving(versions, flags, 1)):
        worker.leave(1)
    versions.change(1, parse_version_policy("latest,digits=1"), {"digits": 1})
    late = Worker(versions, flags)
    late.loaded_all()
    late.obey()
    assert late.listens


def test_without_polling_a_worker_that_starts_gets_no_newer_version(flags: Flags) -> None:
    """The others never search for it, so it is refused, and the worker falls back to theirs."""
    versions = Versions(flags, VersionPolicy(), polls=False)
    serving(versions, flags)
    late = Worker(versions, flags)
    late.load(2)
    assert "refuse" in late.told[0]
    late.obey()
    late.load(1)
    late.obey()
    late.loaded_all()
    late.obey()
    assert late.listens


class _Name(str):
    """The name of a model: a table that looks it up, and a sort that compares it, take steps of the interpreter."""

    __slots__ = ()

    def __hash__(self) -> int:
        return super().__hash__()

    def __lt__(self, other: str) -> bool:
        return super().__lt__(other)


def _work(act: Callable[[], None]) -> int:
    """How many steps Python's interpreter takes in an act."""
    steps = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return steps


def _work_by_message(flags: Flags, models: int) -> list[int]:
    """The work of the parent for each message while two workers start and take a new version of each model.

    A third worker starts meanwhile, and serves what the others serve only after that. Then all go back, in all models
    at once.
    """
    versions, works = Versions(flags, VersionPolicy(), polls=True), list[int]()
    names = [_Name(f"model-{number:05}") for number in range(models)]
    places: dict[str, int] = {}

    def hear(**order: Any) -> None:
        match order:
            case {"arm": [name, _, place, _]} | {"arm back": [name, _, place, _]}:
                places[name] = place

    members = [versions.add(hear) for _ in range(2)]

    def say(message: dict[str, Any], *speakers: Member) -> None:
        for member in speakers or members:
            works.append(_work(lambda member=member: versions.take(member, message)))  # type: ignore[misc]

    for name in names:
        say({"loaded": [name, 1, "a", 1]})
    for member in members:  # once in the life of a worker, and about all models
        versions.take(member, {"loaded all": True})
    late = versions.add(hear)
    versions.take(late, {"loaded all": True})
    for name in names:
        say({"loading": [name, 2]})
        say({"loaded": [name, 2, "b", 2]})
        say({"armed": [name, 2, places[name]]})
        say({"left": [name, 1]})
    for name in names:
        say({"loaded": [name, 2, "b", 2]}, late)
    assert late.takes_calls
    assert all(member.highest(name) == 2 for member in (*members, late) for name in names)
    for name in names:
        say({"loaded": [name, 1, "a", 3]}, *members, late)
        say({"withdrawn": [name, 2, 1, 4]}, *members, late)
    for name in names:
        say({"armed": [name, 1, places[name]]}, *members, late)
        say({"left": [name, 2]}, *members, late)
    assert all(member.highest(name) == 1 for member in (*members, late) for name in names)
    assert not versions._switches.names()
    return works


def test_a_message_costs_the_same_among_many_models(flags: Flags, caplog: pytest.LogCaptureFixture) -> None:
    """The work for a message does not grow with the models, so that of a start grows with them, not with their square.

    The log tells of the worker that is behind as often as the models that are left have halved.
    """
    few = _work_by_message(flags, 40)
    lines = len(caplog.records)
    many = _work_by_message(flags, 320)
    assert sum(many) <= 1.1 * 8 * sum(few)
    # What a longer queue may cost: one model is chosen for the log each time that half are left.
    assert sorted(many)[-len(many) // 20] <= 1.1 * sorted(few)[-len(few) // 20]
    assert 0 < len(caplog.records) - lines <= lines + 4


class Workers(RuleBasedStateMachine):
    """Workers that load, refuse, obey, end and start in any order, and a caller who asks any of them."""

    def __init__(self) -> None:
        super().__init__()
        self.flags = Flags()
        self.versions = Versions(self.flags, VersionPolicy(), polls=True)
        self.workers = [Worker(self.versions, self.flags) for _ in range(3)]
        self.newest = 1
        self.seen = 0

    def teardown(self) -> None:
        self.flags.close()

    @rule()
    def publish(self) -> None:
        """A new version is published."""
        self.newest += 1

    @rule(place=st.integers(0, 2), back=st.integers(0, 1))
    def load(self, place: int, back: int) -> None:
        """A worker loads the newest version or the one before, unless it serves it or waits for it."""
        worker, version = self.workers[place], max(1, self.newest - back)
        if ("digits", version) not in worker.member.loads:
            worker.load(version)

    @rule(place=st.integers(0, 2))
    def refuse(self, place: int) -> None:
        """A worker cannot load the newest version."""
        worker = self.workers[place]
        if ("digits", self.newest) not in worker.member.loads:
            worker.say(loading=["digits", self.newest])
            worker.say(refused=["digits", self.newest, "broken"])

    @rule(place=st.integers(0, 2))
    def finish(self, place: int) -> None:
        """A worker has loaded all that it found."""
        self.workers[place].loaded_all()

    @rule(place=st.integers(0, 2), count=st.integers(1, 3))
    def obey(self, place: int, count: int) -> None:
        """A worker carries out some of its orders."""
        self.workers[place].obey(count)

    @precondition(lambda self: sum(each.listens for each in self.workers) > 1)
    @rule(place=st.integers(0, 2))
    def end(self, place: int) -> None:
        """A worker ends and another starts; one stays that takes calls."""
        self.versions.remove(self.workers[place].member)
        self.workers[place] = Worker(self.versions, self.flags)

    @rule(place=st.integers(0, 2))
    def call(self, place: int) -> None:
        """A caller asks one worker after another."""
        if self.workers[place].listens:
            answer = self.workers[place].answer()
            assert answer >= self.seen
            self.seen = answer

    @invariant()
    def all_that_listen_answer_alike(self) -> None:
        """Two workers that take calls answer with the same version at each moment."""
        assert len({each.answer() for each in self.workers if each.listens}) <= 1


class Followers(RuleBasedStateMachine):
    """Workers that follow a repository in which versions are published and withdrawn, and that end and start."""

    def __init__(self) -> None:
        super().__init__()
        self.flags = Flags()
        self.versions = Versions(self.flags, VersionPolicy(), polls=True)
        self.workers = [Worker(self.versions, self.flags) for _ in range(3)]
        self.last, self.there = 1, [1]
        self.gone = list[int]()

    def teardown(self) -> None:
        self.flags.close()

    @rule()
    def publish(self) -> None:
        """A new version is published; the number of a withdrawn one is not given again."""
        self.last += 1
        self.there.append(self.last)

    @precondition(lambda self: len(self.there) > 1)
    @rule()
    def withdraw(self) -> None:
        """The newest version is withdrawn."""
        self.gone.append(self.there.pop())

    @rule()
    def put_back(self) -> None:
        """The version that was withdrawn last is put back, if its number is above those that are there."""
        if self.gone and self.gone[-1] > self.there[-1]:
            self.there.append(self.gone.pop())

    @rule(place=st.integers(0, 2), is_quick=st.booleans())
    def look(self, place: int, is_quick: bool) -> None:
        """A worker looks at the repository, before or after it has carried out its orders."""
        (self.workers[place].follow if is_quick else self.workers[place].follow_only)(self.there[-1])

    @rule(place=st.integers(0, 2))
    def load_again(self, place: int) -> None:
        """A worker loads a version that waits once more, and orders for the load before may be on their way."""
        worker = self.workers[place]
        for version in list(worker.waiting) if worker.armed is None else ():
            worker.leave(version)
            worker.load(version)

    @rule(place=st.integers(0, 2))
    def finish(self, place: int) -> None:
        """A worker has loaded all that it found."""
        self.workers[place].loaded_all()

    @rule(place=st.integers(0, 2), count=st.integers(1, 3))
    def obey(self, place: int, count: int) -> None:
        """A worker carries out some of its orders."""
        self.workers[place].obey(count)

    @rule(place=st.integers(0, 2))
    def end(self, place: int) -> None:
        """A worker ends and another starts."""
        self.versions.remove(self.workers[place].member)
        self.workers[place] = Worker(self.versions, self.flags)

    @rule()
    def rest(self) -> None:
        """Once every worker has looked, all take calls, and answer with the newest version that is there."""
        for worker in self.workers:
            worker.loaded_all()
        for worker in self.workers * 6:
            worker.follow(self.there[-1])
        assert all(each.listens for each in self.workers)
        assert {each.answer() for each in self.workers} == {self.there[-1]}

    @invariant()
    def all_that_listen_answer_alike(self) -> None:
        """So no caller sees a version go back and forth."""
        assert len({each.answer() for each in self.workers if each.listens}) <= 1


Followers.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
test_workers_that_follow_a_repository_all_take_calls = Followers.TestCase

Workers.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
test_a_caller_never_sees_a_version_go_back = Workers.TestCase
