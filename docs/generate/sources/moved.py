"""Sections of the repository's files that are pages of their own on the site.

In the file they stay where links and alerts look for them. On the site the file keeps the heading, with a link.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymdownx.slugs import slugify

from docs.generate.sources.alerts import alerts
from docs.generate.text.markdown import headings, section

ROOT = Path(__file__).parents[3]
RUNBOOKS = "runbooks/index.md"
anchor_of = slugify(case="lower")


@dataclass(frozen=True)
class Moved:
    """A section that is a page.

    Attributes:
        page: Its place on the site.
        source: The file, from the repository's root.
        heading: The section's heading.
    """

    page: str
    source: str
    heading: str

    def text(self) -> str:
        """What stands below the heading."""
        return section((ROOT / self.source).read_text(), self.heading)


@cache
def moved_sections() -> tuple[Moved, ...]:
    """All of them; a section inside another one stands before it."""
    return (
        *(Moved(f"runbooks/{name.lower()}.md", "docs/operations.md", name) for name in alerts()),
        Moved(RUNBOOKS, "docs/operations.md", "Alerts"),
        Moved("how-to/dashboards.md", "docs/operations.md", "Dashboards"),
        Moved("how-to/tune.md", "docs/operations.md", "Tune for the machine that serves"),
        Moved("how-to/object-storage.md", "docs/operations.md", "Models from object storage"),
        Moved("how-to/import.md", "docs/kan.md", "Networks from elsewhere"),
        Moved("glossary.md", "docs/architecture.md", "Words"),
        Moved("start/own-table.md", "README.md", "Your own table"),
    )


@cache
def moved_anchors() -> dict[tuple[str, str], str]:
    """The page, with an anchor where one is wanted, that stands for a file and an anchor in it."""
    found: dict[tuple[str, str], str] = {}
    for each in moved_sections():
        found.setdefault((each.source, anchor_of(each.heading, "-")), each.page)
        for _, words, _ in headings(each.text()):
            anchor = anchor_of(words, "-")
            found.setdefault((each.source, anchor), f"{each.page}#{anchor}")
    return found
