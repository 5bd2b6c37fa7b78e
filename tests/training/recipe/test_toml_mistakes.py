"""A recipe that is no TOML: one line with the place, what is there, and what was wanted."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recipe.toml_mistakes import explain_syntax


def explained(text: str) -> str:
    """What the text's mistake is called."""
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    return explain_syntax(text, caught.value)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("refit = True", "refit = True: wanted true in small letters"),
        ("refit = FALSE  # no", "refit = FALSE  # no: wanted false in small letters"),
        ('columns = ["x", True]', 'columns = ["x", True]: wanted true in small letters'),
        ("rows = None", "rows = None: TOML has no None; leave the key out"),
        ("rate = .5", "rate = .5: wanted a digit before the point: 0.5"),
        ("rate = -.5", "rate = -.5: wanted a digit before the point: -0.5"),
        ('columns = ("x", "y")', 'columns = ("x", "y"): wanted a list in square brackets, e.g. [1, 2]'),
        ("kind = regression", 'kind = regression: wanted text in double quotes, e.g. "regression"'),
        ("path = my data.csv", 'path = my data.csv: wanted text in double quotes, e.g. "my"'),
        (r"path = C:\tables\my.csv", r"path = C:\tables\my.csv: wanted text in single quotes, e.g. 'C:\tables\my.csv'"),
        ("rate =", "rate =: wanted text in double quotes, a number, true, false or a list; there is no value"),
        ("rate = %", "rate = %: wanted text in double quotes, a number, true, false or a list"),
        ("steps = 2,", "steps = 2,: expected newline or end of document after a statement"),
        ("a = 3", "a = 3: the key is there twice in its section; wanted it once"),
        ("[s]", "[s]: the section is there twice; wanted it once"),
        ("[s.a]", "[s.a]: there is a key of this name already; wanted either the key or the section"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_usual_mistake_is_named_with_its_line(line: str, wanted: str, end: str) -> None:
    """It is the third of the document; Python's spelling, missing quotes, a name twice."""
    message = explained(end.join(["[s]", "a = 1", line, "b = 2"]))
    assert message.startswith("not valid TOML (at line 3, column ")
    assert message.endswith(f"): {wanted}")


def test_a_long_line_is_cut() -> None:
    """A list of a thousand columns does not fill the terminal."""
    message = explained(f"columns = [{', '.join(['True'] * 1000)}]")
    assert message.endswith("…: wanted true in small letters")
    assert len(message) < 150


def test_a_mistake_at_the_end_has_no_line() -> None:
    """A quote that is never closed."""
    assert explained("path = 'data.csv") == 'not valid TOML: Expected "\'" (at end of document)'


@given(st.text(alphabet="ab=[]{}\"'.,#\r\n \t()-1TtrueNone", max_size=40))
def test_any_text_has_one_line(text: str) -> None:
    """Whatever a document holds, its mistake is explained in one line."""
    message = ""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = explain_syntax(text, error)
    assert "\n" not in message
