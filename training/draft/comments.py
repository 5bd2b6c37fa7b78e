"""What a drafted recipe says of a column, in comments of TOML."""

import re

from training.draft.inspection import FEWEST_ROWS_OF_WORD, ColumnFacts
from training.errors import quoted

_WORDS_SHOWN = 5


def describe(facts: ColumnFacts) -> str:
    """The comment beside an input: its kind, range or words, its gaps, and what a person may want to mend."""
    if facts.kind == "numbers":
        what = f"{'whole numbers' if facts.is_whole else 'numbers'}, {facts.low:g} to {facts.high:g}"
        if facts.distinct == 1:
            what = f"always {facts.low:g}: useless, gets weight zero"
    elif facts.kind == "words":
        shown = ", ".join(comment(word) for word in facts.words[:_WORDS_SHOWN])
        more = f" and {len(facts.words) - _WORDS_SHOWN} more" if len(facts.words) > _WORDS_SHOWN else ""
        what = f"words: {shown}{more}"
    else:
        what = f"{facts.kind}, {facts.distinct:,} different ones"
    missing = f"; {facts.missing:,} missing" if facts.missing else ""
    return what + missing + (f"; {comment_text(facts.doubt)}" if facts.doubt else "")


def describe_rare(facts: ColumnFacts) -> str:
    """The comment on the words without an input of their own, two spaces before it; "" if there are none."""
    if not facts.rare:
        return ""
    shown = ", ".join(comment(word) for word in facts.rare[:_WORDS_SHOWN])
    more = f" and {len(facts.rare) - _WORDS_SHOWN} more" if len(facts.rare) > _WORDS_SHOWN else ""
    return f"  # other: {shown}{more}, in fewer than {FEWEST_ROWS_OF_WORD} rows each"


def comment(name: str) -> str:
    """A name in double quotes, without a character that a TOML comment must not contain."""
    return quoted(name).replace("\x7f", "\\u007f")


def comment_text(text: str) -> str:
    """The text without control characters, which a TOML comment must not contain."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
