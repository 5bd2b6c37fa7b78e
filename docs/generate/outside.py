"""What a built site would load from elsewhere when a browser opens it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z+.-]*:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:[a-z]+:)?//[^'\")\s]+)", re.IGNORECASE)
# Attributes that load something as the page opens. A link that a reader clicks is none of them.
_LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "feimage": ("href", "xlink:href"),
    "form": ("action",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# The browser itself then refuses what a script asks for.
POLICY = "default-src 'self' 'unsafe-inline' data:"


def faults(site: Path) -> list[str]:
    """One line for each thing that comes from elsewhere, and for each page that would let a script load one."""
    found = []
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site)
        if path.suffix in (".html", ".svg"):
            page = _Page()
            page.feed(path.read_text())
            found += [f"{name}: loads {address}" for address in page.loaded]
            if path.suffix == ".html" and POLICY not in page.policies:
                found.append(f"{name}: has no Content-Security-Policy {POLICY!r}")
        elif path.suffix == ".css":
            found += [f"{name}: loads {address}" for address in _IN_STYLE.findall(path.read_text())]
    return found


class _Page(HTMLParser):
    """What an HTML page loads as it opens, and the policies before its first script."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.policies: list[str] = []
        self._scripted = self._styled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy" and not self._scripted:
            self.policies.append(given.get("content", ""))
        self._scripted |= tag == "script"
        self._styled = tag == "style"
        self.loaded += [value for name in _LOADING.get(tag, ()) for value in _addresses(given.get(name, ""))]
        self.loaded += _IN_STYLE.findall(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self._styled:
            self.loaded += _IN_STYLE.findall(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._styled = False


def _addresses(value: str) -> Iterator[str]:
    """Those elsewhere among the addresses of an attribute; `srcset` has several."""
    yield from (each.strip() for each in value.split(",") if _ELSEWHERE.match(each))
