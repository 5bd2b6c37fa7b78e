"""The rounds of a search: how many candidates fit which members."""

from dataclasses import dataclass

# In every round but the last each candidate fits a quarter of the members, and the best quarter of them goes on. Halves
# would compare more often; but a long fit that wins would be fitted in three blocks instead of two, and large blocks
# cost less a member. One member's fold says little of a candidate, and two members cost hardly more.
_QUARTER, _COMPARABLE = 4, 2


@dataclass(frozen=True)
class Round:
    """A round: the best ``candidates`` of the round before each fit the members from ``first`` to before ``end``."""

    candidates: int
    first: int
    end: int


def plan_rounds(candidates: int, members: int) -> list[Round]:
    """The rounds: in each the best quarter goes on, and the last candidate fits all members that are left.

    Args:
        candidates: Number of candidates, 1 or more.
        members: Number of members, 1 or more. With too few members for all rounds, the last one takes the best of more
            candidates than four.
    """
    block = max(1, min(_COMPARABLE, members // 2), members // _QUARTER)
    rounds, first, left = [], 0, candidates
    while left > 1 and first + block < members:
        rounds.append(Round(left, first, first + block))
        first, left = first + block, -(-left // _QUARTER)
    return [*rounds, Round(1, first, members)]


def fits_of_members(rounds: list[Round]) -> list[int]:
    """How many members each place of the ranking fits: place p of the last round in which it took part.

    Example: 4 candidates, 8 members: [8, 2, 2, 2].
    """
    counts = [0] * rounds[0].candidates
    for each in rounds:
        for place in range(each.candidates):
            counts[place] += each.end - each.first
    return counts
