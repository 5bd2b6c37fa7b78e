"""The rounds: every member is fitted by the winner, and candidates of a round by the same members."""

import pytest

from training.search.rounds import Round, fits_of_members, plan_rounds


def test_the_example_of_the_room() -> None:
    """4 candidates, 8 members: 14 fits of a member."""
    rounds = plan_rounds(4, 8)
    assert rounds == [Round(4, 0, 2), Round(1, 2, 8)]
    assert fits_of_members(rounds) == [8, 2, 2, 2]


@pytest.mark.parametrize(("members", "judging"), [(2, 1), (3, 1), (4, 2), (8, 2), (16, 4)])
def test_candidates_are_compared_on_two_members_where_there_are_enough(members: int, judging: int) -> None:
    """At least one member is left for the winner alone."""
    assert plan_rounds(3, members)[0].end == judging


@pytest.mark.parametrize("members", [1, 2, 3, 4, 8, 13])
@pytest.mark.parametrize("candidates", [1, 2, 3, 5, 8])
def test_the_winner_fits_every_member_once(candidates: int, members: int) -> None:
    """Rounds follow each other without a gap, the first has all candidates, the last has one."""
    rounds = plan_rounds(candidates, members)
    assert [each.first for each in rounds] == [0, *(each.end for each in rounds[:-1])]
    assert rounds[-1].end == members
    assert rounds[-1].candidates == 1
    assert rounds[0].candidates == (candidates if members > 1 else 1)
    assert fits_of_members(rounds)[0] == members
