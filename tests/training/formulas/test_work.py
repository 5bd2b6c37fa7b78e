"""The budget of a search."""

import pytest

from training.formulas.work import Work, WorkSpent


def test_work_that_does_not_fit_is_refused_before_it_is_done() -> None:
    """Three pieces of 4 do not fit into 10; a smaller one still does."""
    calls: list[int] = []
    work = Work(10, lambda: calls.append(1))
    work.add(2, edges=2)
    work.add(4)
    assert not work.is_spent
    with pytest.raises(WorkSpent):
        work.add(4)
    assert (work.is_spent, work.done, work.share) == (True, 8, 0.8)
    work.add(2)
    assert (work.done, len(calls)) == (10, 4)


def test_a_share_ends_its_block_alone() -> None:
    """What follows the block has the rest of the budget; other errors pass."""
    work = Work(10, lambda: None)
    with work.up_to(0.5):
        work.add(4)
        work.add(4)
        pytest.fail("beyond the share")
    work.add(6)
    with pytest.raises(KeyError), work.up_to(1.0):
        raise KeyError
