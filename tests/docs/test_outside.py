"""What the site's check takes for a request to elsewhere."""

from pathlib import Path

import pytest

from docs.generate.outside import POLICY, faults

pytestmark = pytest.mark.docs

HEAD = f'<html><head><meta http-equiv="Content-Security-Policy" content="{POLICY}"></head>'


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://example.org/a.js"></script>',
        '<script src="//example.org/a.js"></script>',
        '<link rel="stylesheet" href="HTTPS://example.org/a.css">',
        '<img src="http://example.org/a.png">',
        '<img srcset="a.png 1x, https://example.org/a.png 2x">',
        '<iframe src="https://example.org"></iframe>',
        '<p style="background: url(https://example.org/a.png)">',
        "<style>@import '//example.org/a.css';</style>",
        '<svg><use href="https://example.org/a.svg#b"/></svg>',
    ],
)
def test_what_a_browser_would_load_is_told(tmp_path: Path, body: str) -> None:
    """Scripts, styles, pictures, frames; with an address that names no protocol as well."""
    (tmp_path / "index.html").write_text(HEAD + body)
    [fault] = faults(tmp_path)
    assert "example.org" in fault


def test_what_it_would_not_load_is_not(tmp_path: Path) -> None:
    """A link that a reader clicks, an address in words, data in the page, files of the site."""
    link, picture = '<a href="https://example.org">https://example.org</a>', '<img src="data:image/png;base64,AA==">'
    (tmp_path / "index.html").write_text(f'{HEAD}{link}{picture}<script src="../a.js">')
    (tmp_path / "a.css").write_text("/* https://example.org */ a { background: url('b.png') }")
    assert faults(tmp_path) == []


def test_a_style_sheet_is_read(tmp_path: Path) -> None:
    """Fonts and imports."""
    (tmp_path / "a.css").write_text("@import url(https://example.org/a.css); a { src: url('//example.org/b') }")
    assert faults(tmp_path) == ["a.css: loads https://example.org/a.css", "a.css: loads //example.org/b"]


@pytest.mark.parametrize("head", ["", f"<script></script>{HEAD.removeprefix('<html><head>')}"])
def test_a_page_without_the_policy_is_told(tmp_path: Path, head: str) -> None:
    """A script may build its addresses as it runs: only the browser can hold it, and only behind the policy."""
    (tmp_path / "index.html").write_text(f"<html><head>{head}")
    [fault] = faults(tmp_path)
    assert "Content-Security-Policy" in fault
