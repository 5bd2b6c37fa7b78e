"""Markdown as the repository's files write it (CommonMark), for a site that reads Python-Markdown."""

import re
from collections import Counter
from collections.abc import Callable

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_ITEM = re.compile(r"^(?:[-*]|\d+\.) ")
_HEADING = re.compile(r"^(#{1,6}) (.*)$")


def blocks_of_text(text: str, change: Callable[[str], str]) -> str:
    """The text with everything outside fenced code changed."""
    changed: list[str] = []
    kept: list[str] = []
    in_code = False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            changed.append("".join(kept) if in_code else change("".join(kept)))
            changed.append(line)
            kept, in_code = [], not in_code
        else:
            kept.append(line)
    return "".join([*changed, "".join(kept) if in_code else change("".join(kept))])


def for_python_markdown(text: str) -> str:
    """The same blocks, as Python-Markdown wants them written.

    CommonMark lets a list follow a paragraph's line, and indents what belongs to an item as far as its marker is wide.
    Python-Markdown wants an empty line before the list, and 4 spaces.
    """
    return blocks_of_text(text, _lists)


def _lists(text: str) -> str:
    lines: list[str] = []
    width = 0  # of the last item's marker; 0 outside lists
    has_parts = False  # whether the last item goes on after an empty line
    for line in text.splitlines(keepends=True):
        before = lines[-1].strip() if lines else ""
        if item := _ITEM.match(line):
            if before and (not width or has_parts):
                lines.append("\n")
            width, has_parts = len(item[0]), False
        elif line.startswith(" " * width) and width:
            has_parts |= not before
            line = " " * (4 - width) + line
        elif line.strip() and not before:
            width = 0
        lines.append(line)
    return "".join(lines)


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above it.

    Raises:
        ValueError: No heading, or several, of these words.
    """
    start, end = _place(text, heading)
    return "".join(text.splitlines(keepends=True)[start + 1 : end]).strip() + "\n"


def replaced_section(text: str, heading: str, body: str) -> str:
    """The text with something else below this heading."""
    start, end = _place(text, heading)
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: start + 1], f"\n{body}\n\n", *lines[end:]])


def headings(text: str) -> list[tuple[int, str, int]]:
    """Level, words and line number of each heading outside fenced code."""
    found, in_code = [], False
    for number, line in enumerate(text.splitlines()):
        if _FENCE.match(line):
            in_code = not in_code
        elif not in_code and (match := _HEADING.match(line)):
            found.append((len(match[1]), match[2], number))
    return found


def with_anchors(text: str, anchor_of: Callable[[str], str]) -> str:
    """The text with explicit anchors on headings whose words were there before, counted as in the repository's viewer.

    The second "Results" is #results-1 there, and #results_1 in Python-Markdown.
    """
    lines = text.splitlines(keepends=True)
    seen: Counter[str] = Counter()
    for _, words, number in headings(text):
        anchor = anchor_of(words)
        if seen[anchor]:
            lines[number] = f"{lines[number].rstrip()} {{: #{anchor}-{seen[anchor]} }}\n"
        seen[anchor] += 1
    return "".join(lines)


def _place(text: str, heading: str) -> tuple[int, int]:
    """The heading's line, and the first line after its section."""
    found = headings(text)
    places = [place for place, (_, words, _) in enumerate(found) if words == heading]
    if len(places) != 1:
        raise ValueError(f"{len(places)} headings are called {heading!r}; wanted one. Was it renamed?")
    level, _, start = found[places[0]]
    ends = [line for other, _, line in found[places[0] + 1 :] if other <= level]
    return start, ends[0] if ends else len(text.splitlines())
