"""What a drafted recipe says of a column."""

import tomllib

import pytest

from training.draft.comments import comment, comment_text, describe, describe_rare
from training.draft.inspection import ColumnFacts


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (ColumnFacts("a", "numbers", 2, 3, low=1, high=4.5, doubt="why"), "numbers, 1 to 4.5; 2 missing; why"),
        (ColumnFacts("a", "numbers", 0, 3, low=1, high=4, is_whole=True), "whole numbers, 1 to 4"),
        (ColumnFacts("a", "numbers", 0, 1, low=7, high=7), "always 7: useless, gets weight zero"),
        (ColumnFacts("a", "words", 0, 6, words=tuple("bcdefg")), 'words: "b", "c", "d", "e", "f" and 1 more'),
        (ColumnFacts("a", "dates", 0, 1200), "dates, 1,200 different ones"),
    ],
)
def test_an_input_is_told_by_what_it_holds(facts: ColumnFacts, wanted: str) -> None:
    """Range, words, gaps and doubts, in this order."""
    assert describe(facts) == wanted


def test_rare_words_are_named() -> None:
    """Words without an input of their own; a column without such words has no comment."""
    facts = ColumnFacts("a", "words", 0, 3, words=("b", "c", "d"), rare=("c", "d"))
    assert describe_rare(facts) == '  # other: "c", "d", in fewer than 5 rows each'
    assert describe_rare(ColumnFacts("a", "words", 0, 1, words=("b",))) == ""


def test_a_comment_is_toml_whatever_a_column_is_called() -> None:
    """A control character or the end of a line would end the comment, and the recipe could not be read."""
    odd = "a\nb\x7f\x00\t"
    assert tomllib.loads(f"# {comment(odd)} {comment_text(odd)}\nx = 1") == {"x": 1}
