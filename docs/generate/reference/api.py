"""The Python API: a page a room, which mkdocstrings fills from the docstrings."""

import ast
from pathlib import Path

from docs.generate.sources.docstrings import without_roles
from docs.generate.text.tables import table

ROOT = Path(__file__).parents[3]
INDEX = "reference/api/index.md"
_PACKAGES = {"kan_model": ROOT, "training": ROOT, "service": ROOT, "kan_api": ROOT / "proto"}
# Their own pages say what is in them: generated code, and old names that warn.
_LEFT_OUT = {"kan_api.v1", "kan_model.moved"}
# The search shows what people wrote for readers first.
_LATER = "---\nsearch:\n  boost: 0.3\n---\n\n"
_HEAD = """# Python API

Names without an underscore in front, a page for each room. Most callers need only `kan_model` itself and
`service.client`.
"""


def rooms() -> dict[str, list[str]]:
    """Dotted names of the modules and subpackages right inside each package."""
    found = {}
    for package, root in _PACKAGES.items():
        paths = [path for path in sorted((root / package).iterdir()) if _is_room(path)]
        found[package] = [name for path in paths if (name := f"{package}.{path.stem}") not in _LEFT_OUT]
    return found


def place(name: str) -> str:
    """Where the page of a room or package is."""
    return f"reference/api/{name}.md"


def pages() -> dict[str, str]:
    """The page of each package and room, and the one before them."""
    made, parts = {}, [_HEAD]
    for package, names in rooms().items():
        made[place(package)] = _package(package)
        rows = [[f"[{name}]({name}.md)", _first_line(name)] for name in (package, *names)]
        parts.append(f"## {package}\n\n{table(['room', 'what it is for'], rows)}")
        made |= {place(name): f"{_LATER}# {name}\n\n::: {name}\n" for name in names}
    return {INDEX: "\n".join(parts)} | made


def _package(name: str) -> str:
    """Only what its own docstring says: its rooms have their pages."""
    return f"{_LATER}# {name}\n\n::: {name}\n    options:\n      members: false\n"


def _is_room(path: Path) -> bool:
    is_package = (path / "__init__.py").is_file()
    return (is_package or path.suffix == ".py") and not path.name.startswith("_")


def _first_line(name: str) -> str:
    root = _PACKAGES[name.split(".")[0]] / name.replace(".", "/")
    file = root / "__init__.py" if root.is_dir() else root.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return without_roles(text.split("\n\n")[0].replace("\n", " "))
