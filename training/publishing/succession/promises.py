"""Promises of the newest version of a model that the next one does not make, for a recipe and for an estimator."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kan_api.cells import quoted
from kan_api.network_text import monotone_text
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.publishing.repository import read_newest_manifest
from training.recipe.config import Recipe
from training.recipe.toml_text import toml_key, toml_string

_MOST_COLUMNS = 3
_MOST_CHARACTERS = 600


@dataclass(frozen=True)
class BrokenPromises:
    """What callers of the newest version can no longer rely on.

    Attributes:
        version: The newest version.
        texts: What it promises, and what the next one does: one text a column, and one for each of the others.
        monotone: The directions by column that keep all of them; empty if none is broken.
        coverage: Of the bounds; 0 if they are not broken.
        calibration: The keys of [calibration]; None if it is not broken.
    """

    version: int
    texts: tuple[str, ...]
    monotone: Mapping[str, str] = field(default_factory=dict)
    coverage: float = 0.0
    calibration: Mapping[str, float] | None = None

    def keys(self) -> str:
        """The keys of a recipe that keep the promises: ``[network] monotone = { age = "up" }``, for example."""
        parts = []
        if self.monotone:
            items = ", ".join(f"{toml_key(column)} = {toml_string(way)}" for column, way in self.monotone.items())
            parts.append(f"[network] monotone = {self._shorten(f'{{ {items} }}')}")
        if self.coverage:
            parts.append(f"[intervals] coverage = {self.coverage}")
        if self.calibration is not None:
            parts.append(" ".join(["[calibration]", *(f"{key} = {value}" for key, value in self.calibration.items())]))
        return " and ".join(parts)

    def arguments(self) -> str:
        """The arguments of an estimator that do so: ``monotone={"age": "up"}``, for example."""
        parts = []
        if self.monotone:
            parts.append(f"monotone={self._shorten(json.dumps(self.monotone, ensure_ascii=False))}")
        if self.coverage:
            parts.append(f"coverage={self.coverage}")
        calibration = self.calibration
        if calibration is not None and set(calibration) == {"coverage"} and not self.coverage:  # of a classifier's sets
            parts.append(f"coverage={calibration['coverage']}")
        elif calibration is not None:
            parts.append(f"recipe={json.dumps({'calibration': calibration})}")
        return " and ".join(parts)

    def __str__(self) -> str:
        return f"version {self.version} promises what the next one does not: {'; '.join(self.texts)}"

    def _shorten(self, text: str) -> str:
        """The directions as they are written or, of many columns, where they can be read."""
        if len(text) <= _MOST_CHARACTERS:
            return text
        return f"the directions of the features in manifest.json of version {self.version}"


def foretell(expected: ModelManifest, recipe: Recipe) -> ModelManifest:
    """The manifest that is known before the fit, with the bounds and the calibration that the recipe asks for."""
    manifest = ModelManifest()
    manifest.CopyFrom(expected)
    if recipe.intervals is not None:
        manifest.intervals.coverage = recipe.intervals.coverage
    if recipe.calibration is not None:
        manifest.calibration.SetInParent()
        if recipe.calibration.coverage is not None:
            manifest.calibration.sets.coverage = recipe.calibration.coverage
    return manifest


def find_broken(model_folder: Path, now: ModelManifest) -> BrokenPromises | None:
    """The promises of a model's newest version that the next one breaks; None: none, or no version that can be read.

    Args:
        model_folder: ``models/<name>``.
        now: The manifest of the next version, or what is known of it before the fit (:func:`foretell`).
    """
    before = read_newest_manifest(model_folder)
    return None if before is None else compare_promises(before, now)


def compare_promises(before: ModelManifest, now: ModelManifest) -> BrokenPromises | None:
    """What a version promises and the next one does not, or promises the other way round; None: nothing.

    Args:
        before: The manifest of the newest version.
        now: That of the next one, whose features are the same.
    """
    directions = {was.column: text for was, text in _broken_directions(before, now)}
    texts = list(directions.values())[:_MOST_COLUMNS]
    if len(directions) > _MOST_COLUMNS:
        texts.append(f"and so for {len(directions) - _MOST_COLUMNS} more columns")
    coverage = before.intervals.coverage if before.intervals.coverage > now.intervals.coverage else 0.0
    if coverage:
        there = f"{_share(coverage)} of new rows lie between lower and upper"
        texts.append(f"{there} ({_now(now.intervals.coverage, 'there are no bounds')})")
    sets, sets_now = before.calibration.sets.coverage, now.calibration.sets.coverage
    is_lost = before.HasField("calibration") and not now.HasField("calibration")
    if is_lost:
        texts.append("its probabilities are calibrated (now they are not)")
    if sets > sets_now:
        texts.append(f"{_share(sets)} of new rows have their class in the set ({_now(sets_now, 'there are no sets')})")
    if not texts:
        return None
    kept = {feature.column: feature.monotone for feature in (*now.features, *before.features) if feature.monotone}
    keys = {"coverage": max(sets, sets_now)} if sets or sets_now else {}
    return BrokenPromises(
        before.version,
        tuple(texts),
        kept if directions else {},
        coverage,
        keys if is_lost or sets > sets_now else None,
    )


def _broken_directions(before: ModelManifest, now: ModelManifest) -> Iterator[tuple[Feature, str]]:
    """The features whose direction is not kept; no answer moves with a constant, so each promise of one is."""
    for was, is_now in zip(before.features, now.features, strict=False):
        if was.monotone and was.monotone != is_now.monotone and not is_now.constant:
            turned = f"never {'falls' if is_now.monotone == 'up' else 'rises'}"
            now_it = turned if is_now.monotone else "may"
            yield was, f"{quoted(was.column)}: {monotone_text(before, was)} (now it {now_it})"


def _share(coverage: float) -> str:
    return f"{100 * coverage:g} %"


def _now(coverage: float, nothing: str) -> str:
    return f"now {_share(coverage) if coverage else nothing}"
