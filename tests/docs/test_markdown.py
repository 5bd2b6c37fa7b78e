"""Pages mean on the site what they mean in the repository."""

import re
from collections import Counter
from pathlib import Path

import markdown
import pytest
from markdown_it import MarkdownIt

from docs.generate.pages import prepared
from docs.generate.sources.links import for_the_site
from docs.generate.text.markdown import for_python_markdown, replaced_section, section

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")),
]
TAGS = "ol|ul|li|table|tr|pre|h[1-6]|a|img"


def tags(html: str) -> Counter[str]:
    """How many of each kind of block and link."""
    return Counter(re.findall(rf"<({TAGS})[ >]", html))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_both_readers_see_the_same_blocks(file: Path) -> None:
    """A list or code block that CommonMark sees, as the repository's viewer does, is one for the site's reader too."""
    text = file.read_text()
    extensions = ["tables", "pymdownx.superfences", "attr_list"]
    on_site = markdown.markdown(for_python_markdown(text), extensions=extensions)
    assert tags(on_site) == tags(MarkdownIt("commonmark").enable("table").render(text))


def test_code_in_an_item_stays_code() -> None:
    """What belongs to an item of a list is indented by 2 in one and by 4 in the other."""
    text = "Take\n- this\n\n      code\n\n- that\n\nand go.\n"
    html = markdown.markdown(for_python_markdown(text))
    assert "<pre><code>code\n" in html
    assert html.count("<li>") == 2
    assert html.endswith("<p>and go.</p>")


def test_a_section_ends_at_the_next_heading_of_its_level() -> None:
    """Deeper headings and lines of code that look like headings belong to it."""
    text = "# A\n## B\nb\n### C\n```\n## no heading\n```\n## D\nd\n"
    assert section(text, "B") == "b\n### C\n```\n## no heading\n```\n"
    assert replaced_section(text, "B", "x") == "# A\n## B\n\nx\n\n## D\nd\n"


def test_a_heading_that_is_gone_is_told() -> None:
    """A renamed section must not vanish from the site in silence."""
    with pytest.raises(ValueError, match="Gone"):
        section("# A\n", "Gone")


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("docs/kan.md", "kan.md", "[a](numerics.md#the-graph)", "[a](numerics.md#the-graph)"),
        ("docs/kan.md", "kan.md", "[a](operations.md#kanloadshed)", "[a](runbooks/kanloadshed.md)"),
        ("docs/operations.md", "runbooks/kanenvoydown.md", "[a](#kanloadshed)", "[a](kanloadshed.md)"),
        ("docs/operations.md", "runbooks/kanenvoydown.md", "[a](#memory)", "[a](../operations.md#memory)"),
        ("README.md", "index.md", "![a](docs/pictures/edge.png)", "![a](pictures/edge.png)"),
        ("README.md", "index.md", "[docs/numerics.md](docs/numerics.md)", "[Numerics](numerics.md)"),
        (
            "README.md",
            "index.md",
            "[docs/numerics.md](docs/numerics.md#refinement)",
            "[Refinement](numerics.md#refinement)",
        ),
        ("docs/scaling.md", "scaling.md", "[`e`](../deploy/envoy/envoy.yaml)", "`e`"),
        ("docs/scaling.md", "scaling.md", "[a](../absent.md)", "[a](../absent.md)"),
        ("docs/scaling.md", "scaling.md", "[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("docs/scaling.md", "scaling.md", "```\n[a](../deploy)\n```\n", "```\n[a](../deploy)\n```\n"),
    ],
)
def test_links_lead_to_pages(source: str, page: str, link: str, expected: str) -> None:
    """To a page, or the page of a section; without one the words stay. What is absent stays, for mkdocs to refuse."""
    assert for_the_site(link, source, page) == expected


def test_headings_of_moved_sections_stay() -> None:
    """An alert that leads to docs/operations.md finds its heading there, with a link to its page."""
    source = "docs/operations.md"
    text = prepared((ROOT / source).read_text(), source, "operations.md")
    assert "### KanLoadShed\n\n[KanLoadShed](runbooks/kanloadshed.md)\n" in text


def test_the_readme_leads_to_each_page() -> None:
    """A page that only the site's menu knows is not found in the repository; decisions are found by their folder."""
    linked = set(re.findall(r"\]\((docs/[^()#]+)", (ROOT / "README.md").read_text()))
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages - linked == set()
    assert "docs/decisions/" in linked
