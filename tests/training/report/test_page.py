"""Pages escape all given text."""

from html import escape

import pytest
from matplotlib.figure import Figure

from training.report.page import bullets, folded, image, number, page, paragraph, section, table, verbatim

EVIL = "<b onload='x'>&\""


@pytest.mark.parametrize(
    "piece",
    [
        paragraph(EVIL),
        verbatim(EVIL),
        bullets([EVIL]),
        folded(EVIL, ""),
        section(EVIL, ["content"]),
        table([EVIL], [["cell"]]),
        table([], [[EVIL]], numbers=False),
        image(Figure((1, 1)), EVIL),
        page(EVIL, []).decode(),
    ],
)
def test_text_is_no_markup(piece: str) -> None:
    """Whatever a column or a file is called."""
    assert escape(EVIL) in piece
    assert "<b" not in piece.replace("<body", "")


def test_nothing_makes_nothing() -> None:
    """No heading over nothing, no empty box."""
    assert (section("Title", []), verbatim(""), bullets([]), number(None)) == ("", "", "", "")


def test_a_page_may_load_and_run_nothing() -> None:
    """A content security policy forbids loading and running anything."""
    assert "default-src 'none'; img-src data:" in page("t", []).decode()
