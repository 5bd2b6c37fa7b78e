"""All pages of the site that are no file of docs/, as Markdown by their place."""

from docs.generate.reference import api, commands, functions, metrics, protocols, recipe, runbooks, settings
from docs.generate.sources.links import PAGES, for_the_site
from docs.generate.sources.moved import ROOT, RUNBOOKS, Moved, anchor_of, moved_sections
from docs.generate.text.markdown import for_python_markdown, headings, replaced_section, section, with_anchors

_README = "README.md"
_LAYOUT = "\n![The panels of {title}](../pictures/diagrams/dashboard-{name}.svg)\n"


def generated_pages() -> dict[str, str]:
    """Every page that is made, by its place on the site."""
    pages = {
        "index.md": _start(),
        "start/demo.md": _demo(),
        "reference/commands.md": commands.page(),
        "reference/recipe.md": recipe.page(),
        "reference/settings.md": settings.page(),
        "reference/functions.md": functions.page(),
        "reference/metrics.md": metrics.page(),
        **protocols.pages(),
        **api.pages(),
    }
    for each in moved_sections():
        body = each.text()
        if each.page.startswith("runbooks/"):
            body = runbooks.page(each.heading, body)
        if each.page == "how-to/dashboards.md":
            boards = (("serving", "Serving"), ("models", "Models"))
            body += "".join(_LAYOUT.format(name=name, title=title) for name, title in boards)
        pages[each.page] = prepared(f"# {each.heading}\n\n{body}", each.source, each.page)
    for source, page in PAGES.items():
        if page not in pages and (ROOT / source).is_file():
            pages[page] = prepared((ROOT / source).read_text(), source, page)
    return pages


def prepared(text: str, source: str, page: str) -> str:
    """The text of a file of the repository as a page; sections that are pages of their own are a link there.

    Args:
        text: Markdown.
        source: The file it comes from, from the repository's root.
        page: Where it stands on the site.
    """
    for each in moved_sections():
        is_part = each.page.startswith("runbooks/") and each.page != RUNBOOKS
        if each.source == source and each.page != page and not is_part and f"# {each.heading}\n" in text:
            text = replaced_section(text, each.heading, _links(each))
    return for_python_markdown(with_anchors(for_the_site(text, source, page), lambda words: anchor_of(words, "-")))


def _links(moved: Moved) -> str:
    """What stays of a section: its headings, so that their anchors go on to work, with links."""
    parts = [f"On a page of its own: [{moved.heading}](#{anchor_of(moved.heading, '-')})."]
    for level, words, _ in headings(moved.text()):
        parts.append(f"{'#' * level} {words}\n\n[{words}](#{anchor_of(words, '-')})")
    return "\n\n".join(parts)


def _start() -> str:
    text = (ROOT / _README).read_text()
    head = text.split("\n## ")[0]
    return prepared(f"{head}\n## Where to go next\n\n{section(text, 'Where to go next')}", _README, "index.md")


def _demo() -> str:
    text = (ROOT / _README).read_text()
    parts = ("Two commands", "Serve and call")
    body = "".join(f"## {heading}\n\n{section(text, heading)}\n" for heading in parts)
    return prepared(f"# The demo\n\n{body}", _README, "start/demo.md")
