"""The record of a network's members."""

import math
from typing import Any

import pytest

from kan_model.network.members import Members


def test_blocks_follow_each_other() -> None:
    """Each member's nodes are neighbours, the first member's first."""
    members = Members(((2, 3), (1, 2)), ((1.0,), (-1.0,)))
    assert members.count == 2
    assert members.width == (5, 3, 1)
    assert [members.block(0, member).tolist() for member in (0, 1)] == [[0, 1], [2, 3, 4]]
    assert [members.block(1, member).tolist() for member in (0, 1)] == [[0], [1, 2]]


def test_the_nodes_that_are_left_keep_their_member() -> None:
    """After nodes 1 and 2 of the first level are gone, and the first member's only node of the second."""
    members = Members(((2, 3), (1, 2)), ((1.0,), (-1.0,)))
    assert members.kept([[0, 3, 4], [1, 2]], [[0.5], [-0.5]]) == Members(((1, 2), (0, 2)), ((0.5,), (-0.5,)))


@pytest.mark.parametrize(
    ("nodes", "shifts"),
    [
        ((), ((0.0,),)),
        (((1,),), ()),
        (((1, 2),), ((0.0,),)),
        (((1, 2), (1,)), ((0.0,), (0.0,))),
        (((1, -2),), ((0.0,), (0.0,))),
        (((1, 2.0),), ((0.0,), (0.0,))),
        (((1, 2),), ((0.0,), (0.0, 1.0))),
        (((1, 2),), ((0.0,), (math.nan,))),
    ],
)
def test_numbers_that_describe_no_members_are_refused(nodes: Any, shifts: Any) -> None:
    """Levels without a count for each member, counts below 0 or broken, shifts that do not fit or are not finite."""
    with pytest.raises(ValueError, match="members have"):
        Members(nodes, shifts)
