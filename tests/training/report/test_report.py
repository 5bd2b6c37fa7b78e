"""The report shows the manifest and is self-contained."""

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.tune import tune
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, load_recipe

_VOID = {"meta", "img"}


class _Page(HTMLParser):
    """What a browser would see: text, pictures, tags that were opened and not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.sources, self.open, self.tags = "", [""][:0], [""][:0], {""}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _published(path: Path, tmp_path: Path) -> Published:
    return train(Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_report_of_a_version(kind: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """What the manifest says, in whole HTML; pictures inside; nothing to load or to run."""
    published = _published(write_recipe(kind=kind, target="weight" if kind == "regression" else "kind"), tmp_path)
    content = (published.folder / "report.html").read_text(encoding="utf-8")
    page, manifest = _Page(content), published.manifest
    assert page.open == []
    assert all(f"{value:.5g}" in page.text for value in manifest.metrics.values())
    assert all(feature.name in page.text for feature in manifest.features)
    assert manifest.recipe in page.text
    assert manifest.data.fingerprint in page.text
    assert "script" not in page.tags
    (verdict,) = re.findall('<p class="verdict">(.*)</p>', content)
    assert ("test rows; always answering" if kind == "classification" else "; the mean alone would be") in verdict
    assert all(word in page.text for word in (("recall", "AUC") if kind == "classification" else ("mean error",)))
    # Answers, effects, the diagram, two edges behind a fold, the loss.
    assert len(page.sources) >= 1 + 1 + 1 + 2 + 1
    assert content.index("effects of the columns") < content.index("strongest edges") < content.index("edge from")
    for source in page.sources:
        kind_, text = source.split(",", 1)
        assert kind_ == "data:image/png;base64"
        assert base64.b64decode(text, validate=True).startswith(b"\x89PNG")


NAMES = ["<script>alert(1)</script>", "a&b \"q\" 'r'", "$x$ \\frac", "温度"]


def test_names_are_text(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """A column's name is no markup and no formula, whatever it is."""
    before = ["length", "fixed", "color", "width"]
    path = write_recipe(columns=json.dumps(NAMES), categories=f'{json.dumps(NAMES[2])} = ["red", "blue"]')
    table = pd.read_csv(tmp_path / "flowers.csv").rename(columns=dict(zip(before, NAMES, strict=True)))
    table.to_csv(tmp_path / "flowers.csv", index=False)
    page = _Page((_published(path, tmp_path).folder / "report.html").read_text(encoding="utf-8"))
    assert all(name in page.text for name in NAMES)
    assert "script" not in page.tags


def test_what_stood_beside_it_is_in_the_report(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """The MLP's scores have a line of their own, each feature the share of the answers' spread that it has."""
    run = Run(wave("[baseline]\n[attribution]\n"), tmp_path / "models", RunFolder(tmp_path / "run"))
    published = train(run, Watcher())
    page, manifest = _Page((published.folder / "report.html").read_text(encoding="utf-8")), published.manifest
    assert "test rows, MLP" in page.text
    assert f"{manifest.metrics['baseline_test_r2']:.5g}" in page.text
    assert "Attribution: how far the answers to the training rows move if the feature alone" in page.text
    assert all(f"{feature.attribution:.5g}" in page.text for feature in manifest.features)


def test_a_tuned_version_keeps_the_report(flowers: Published) -> None:
    """A tuned version keeps its report, because the network is the same."""
    second = tune(flowers.folder, [1])
    assert (second.folder / "report.html").read_bytes() == (flowers.folder / "report.html").read_bytes()
    assert not re.search(r"version \d", _Page((second.folder / "report.html").read_text()).text)
