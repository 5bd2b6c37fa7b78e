"""Where runs take place, from the times of those before them."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from service.batching.placement import INLINE_SECONDS, Placement

_QUICK, _SLOW = 0.0002, 0.04


def _note(placement: Placement, seconds: Iterable[float], rows: int = 8) -> list[int]:
    """The inline rows after each of these runs."""
    found = []
    for each in seconds:
        placement.note(rows, each)
        found.append(placement.inline_rows)
    return found


def test_one_slow_run_moves_the_model() -> None:
    """The run that shows that a model has turned slow is the only one that holds the event loop."""
    assert _note(Placement(8), [_QUICK] * 1000 + [_SLOW]) == [8] * 1000 + [0]


def test_runs_a_little_too_long_move_it_by_their_mean() -> None:
    """3 ms a run are too long; one such run between quick ones is noise."""
    assert _note(Placement(8), [_QUICK, 0.003] * 500)[-1] == 8
    assert _note(Placement(8), [0.003] * 32)[-1] == 0
    assert _note(Placement(8), [INLINE_SECONDS] * 1000)[-1] == 8


def test_quick_runs_in_a_row_move_it_back() -> None:
    """32 for each 4 ms of the run that moved it, and only in a row."""
    placement = Placement(8)
    placement.note(8, _SLOW)
    assert _note(placement, [_QUICK] * 319 + [_SLOW] + [_QUICK] * 320) == [0] * 639 + [8]


def test_a_model_that_was_slow_at_first_moves_too() -> None:
    """It held nobody, so that it needs the fewest runs."""
    assert _note(Placement(0), [_SLOW] * 100 + [_QUICK] * 32) == [0] * 131 + [8]


def test_it_says_what_has_changed() -> None:
    """True for a move, and for more rows; nothing else."""
    placement = Placement(0)
    assert [placement.note(4, _QUICK) for _ in range(33)] == [False] * 31 + [True, False]
    assert placement.note(512, _SLOW) is False
    assert placement.inline_rows == 4
    assert placement.note(512, _QUICK) is True
    assert placement.inline_rows == 512
    assert placement.note(512, _SLOW) is True
    assert placement.inline_rows == 0


def test_many_rows_move_back_only_if_they_were_quick() -> None:
    """Quick runs of single rows prove nothing about a full batch."""
    placement = Placement(0)
    _note(placement, [_QUICK] * 32, rows=1)
    assert placement.inline_rows == 1


def test_an_endless_hold_is_forgiven_in_the_end() -> None:
    """However long a run has held the event loop, 10,000 quick ones suffice."""
    placement = Placement(8)
    placement.note(8, 1e9)
    assert _note(placement, [_QUICK] * 10_000)[-2:] == [0, 8]


def _runs_by_place(runs: int, quick: float, slow: float, placement: Placement) -> tuple[int, int]:
    """Of so many runs that are quick in the thread and slow on the event loop: those on it, and the moves."""
    here = moves = 0
    for _ in range(runs):
        here += placement.inline_rows > 0
        moves += placement.note(8, slow if placement.inline_rows else quick)
    return here, moves


def test_a_model_that_is_quick_in_the_thread_alone_stays_there() -> None:
    """Its runs wait without computing, so the thread's times deceive: each return to the loop costs twice as much."""
    here, moves = _runs_by_place(10_000, _QUICK, 0.0035, Placement(0))
    assert moves <= 2 * 9
    assert here <= 9 * 10  # so long does the mean take to pass 2.5 ms
    assert _runs_by_place(100_000, _QUICK, 0.0035, Placement(0))[0] <= 10 * (9 + 10)


def test_a_model_that_has_settled_pays_no_more_than_at_first() -> None:
    """Once it was quick on the event loop for as long as it had to be in the thread, a slow run costs the usual."""
    placement = Placement(8)
    for _ in range(3):
        placement.note(8, _SLOW)
        assert _note(placement, [_QUICK] * 320)[-2:] == [0, 8]
        _note(placement, [_QUICK] * 321)
    placement.note(8, _SLOW)
    _note(placement, [_QUICK] * 320)
    placement.note(8, _SLOW)
    assert _note(placement, [_QUICK] * 640)[-2:] == [0, 8]


@given(st.lists(st.floats(0.004001, 1.0), min_size=1, max_size=20), st.lists(st.integers(0, 3000), max_size=20))
def test_slow_runs_hold_the_loop_an_eighth_of_a_millisecond_a_run(slow: list[float], quick: list[int]) -> None:
    """Whatever the mix: each slow run on the event loop is paid for by quick ones before the next."""
    placement = Placement(8)
    held, runs = 0.0, 0
    for place, seconds in enumerate(slow):
        for _ in range(quick[place] if place < len(quick) else 400):
            placement.note(8, _QUICK)
            runs += 1
        if placement.inline_rows:
            # All holds before this one are paid for.
            assert held <= 0.000125 * (runs + 20)
            held += seconds
        placement.note(8, seconds)
        runs += 1
