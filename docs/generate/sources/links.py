"""Links between the repository's files, as links between the site's pages."""

import os.path
import re
from pathlib import PurePosixPath

from docs.generate.sources.moved import ROOT, anchor_of, moved_anchors
from docs.generate.text.markdown import blocks_of_text, headings

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
# Files outside docs/ that are pages.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "report-a-weakness.md",
    "benchmarks/README.md": "benchmarks.md",
    "docs/decisions": "decisions/0001-the-whole-way.md",
}


def for_the_site(text: str, source: str, page: str) -> str:
    """The text with its links leading to pages of the site.

    A link to a file that is no page becomes its words: the project has no address where the file could be read. A link
    to a file that is not there stays, and the strict build refuses it.

    Args:
        text: Markdown.
        source: The file it comes from, from the repository's root; relative links count from there.
        page: Where it stands on the site.
    """

    def changed(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        path, _, anchor = target.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(source), path)) if path else source
        to = _page(file, anchor)
        if to is None:
            return words if (ROOT / file).exists() else match[0]
        if words == path:
            words = _title(file, anchor)
        # An anchor on this page itself.
        found = to.partition("#")[2] if to.partition("#")[0] == page and "#" in to else ""
        return f"{mark}[{words}]({f'#{found}' if found else _relative(to, page)})"

    return blocks_of_text(text, lambda part: _LINK.sub(changed, part))


def _page(file: str, anchor: str) -> str | None:
    """The site's page or picture, with the anchor, that stands for a place in a file; None where there is none."""
    if moved := moved_anchors().get((file, anchor)):
        return moved
    behind = f"#{anchor}" if anchor else ""
    if file in PAGES:
        return PAGES[file] + behind
    if file.startswith("docs/") and (ROOT / file).is_file():
        return file.removeprefix("docs/") + behind
    return None


def _title(file: str, anchor: str) -> str:
    """The heading that a link leads to: on the site the name of a file says nothing. A folder keeps its name."""
    found = [words for _, words, _ in headings((ROOT / file).read_text())] if (ROOT / file).is_file() else [file]
    return next((words for words in found if anchor_of(words, "-") == anchor), found[0])


def _relative(to: str, page: str) -> str:
    path, mark, anchor = to.partition("#")
    return os.path.relpath(path, PurePosixPath(page).parent) + mark + anchor
