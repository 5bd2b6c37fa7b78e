"""What mkdocs calls while it builds the site."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.generate import outside
from docs.generate.pages import generated_pages, prepared
from docs.generate.reference import api
from docs.generate.sources.alerts import alerts
from docs.generate.sources.moved import RUNBOOKS


def on_config(config: MkDocsConfig) -> None:
    """Fill in the two lists that mkdocs.yml leaves empty."""
    assert config.nav is not None
    _fill(config.nav, "Runbooks", [RUNBOOKS, *({name: f"runbooks/{name.lower()}.md"} for name in alerts())])
    packages = [
        {package: [api.place(package), *({name: api.place(name)} for name in names)]}
        for package, names in api.rooms().items()
    ]
    _fill(config.nav, "Python API", [api.INDEX, *packages])


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made."""
    for place, text in generated_pages().items():
        files.append(File.generated(config, place, content=text))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn a file of docs/ into a page; those that are made are one already."""
    if page.file.generated_by:
        return markdown
    place = page.file.src_uri
    return prepared(markdown, f"docs/{place}", place)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that loads something from elsewhere."""
    if found := outside.faults(Path(config.site_dir)):
        raise PluginError("the site must load nothing from elsewhere:\n" + "\n".join(found))


def _fill(nav: list[Any], title: str, entries: list[Any]) -> None:
    for item in nav:
        if isinstance(item, dict):
            for key, value in item.items():
                if key == title:
                    item[key] = entries
                elif isinstance(value, list):
                    _fill(value, title, entries)
