"""How good a model is on rows that it never saw, what it does beyond its training rows, and where it comes from."""

from collections.abc import Iterator

from kan_api.cells import quoted
from kan_api.metric_names import shown_name
from kan_api.network_text import monotone_text, network_text, quantile_pair_text, sets_text, size_text
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.errors import list_names

_POLICIES = {
    "": "answered",
    "answer": "answered",
    "flag": "answered, and the answer tells such cells",
    "refuse": "refused",
}
# Prefixes of metrics, and who they are of.
_JUDGED = {
    "test_": "test rows",
    "baseline_trivial_test_": "a constant answer",
    "baseline_linear_test_": "a linear model",
    "baseline_boosted_test_": "boosted trees",
}
_WIDTH = 19


def fact_lines(manifest: ModelManifest) -> Iterator[str]:
    r"""A line for each fact, with its "\n".

    Args:
        manifest: of the model.
    """
    for name, text in _facts(manifest):
        yield f"{name.ljust(_WIDTH)}{' '.join(text.split())}\n"


def _facts(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    yield "beyond training", f"rows outside the ranges, or where training had no row, are {_policy(manifest)}"
    yield from _outputs(manifest)
    yield from _intervals(manifest)
    for feature in manifest.features:
        if promise := monotone_text(manifest, feature):
            yield "promised", f"{quoted(feature.name)}: {promise}, and all else stays"
    if manifest.pairs:
        pairs = ", ".join(f"{quoted(pair.first)} with {quoted(pair.second)}" for pair in manifest.pairs)
        yield "pairs", f"a term of two columns for {pairs}"
    yield from _scores(manifest)
    yield from _calibration(manifest)
    data = manifest.data
    if data.train_rows:
        test = f", tested on {data.test_rows:,}" if data.test_rows else ""
        before = " before they trained it too" if data.refit and test else ""
        yield "rows", f"trained on {data.train_rows:,} of {data.source or 'a table without a name'}{test}{before}"
    if data.fingerprint:
        yield "data", f"fingerprint {data.fingerprint}"
    yield from _lineage(manifest)
    network = manifest.network
    yield "network", f"{network_text(manifest)}, {size_text(network)}, degree {network.degree}"


def _policy(manifest: ModelManifest) -> str:
    """What the model does with rows on unknown ground."""
    policy = manifest.unknown_ground
    text = _POLICIES.get(policy, policy)
    if policy in ("", "answer"):
        # The rule of kan_api.ground: one feature that varies without a histogram, and nothing is known.
        known = manifest.features and all(
            feature.HasField("histogram") or feature.low == feature.high for feature in manifest.features
        )
        return text if known else f"{text}; the training ranges are not known"
    # Training took some of the words away, so it had rows with another word.
    others = [column.name for column in manifest.columns if column.categories and column.unseen_is_other]
    names = ", ".join(quoted(name) for name in others)
    return f'{text}; words that training never saw count as "other" in {names} and are not unknown' if others else text


def _outputs(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    """The range of the answers to the training rows."""
    if manifest.task == TASK_CLASSIFICATION:
        yield "outputs", f"a probability for each of {list_names(list(manifest.classes))}"
        return
    names = list(manifest.targets) or [manifest.target]
    for name, histogram in zip(names, manifest.answers, strict=False):
        if histogram.edges:
            low, high = histogram.edges[0], histogram.edges[-1]
            yield "outputs", f"{quoted(name) if name else 'the answer'}, {low:.6g} to {high:.6g} on the training rows"


def _intervals(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    """What the bounds around the answers promise, and what they kept."""
    if not manifest.HasField("intervals"):
        return
    told, names = manifest.intervals, list(manifest.targets) or [manifest.target]
    rows = f"{told.judged_rows:,} " + ("test rows" if told.judged_by == "test" else "rows, by bounds from other rows,")
    for place, (name, share, width) in enumerate(zip(names, told.judged_coverage, told.judged_width, strict=False)):
        of = f"{quoted(name)}: " if len(names) > 1 else ""
        yield (
            "intervals",
            f"{of}{100 * told.coverage:g} % asked for, {100 * share:.1f} % of {rows} between lower and upper, "
            f"{width:.4g} apart on average",
        )
        if beside := quantile_pair_text(told, place):
            yield "boosted quantiles", f"{of}{beside}"


def _scores(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    """The metrics on the test rows, without those of single targets, and the same ones of the baselines."""
    names = [name.removeprefix("test_") for name in sorted(manifest.metrics) if name.startswith("test_")]
    names = [name for name in names if "_of_" not in name]
    if not names:
        yield "test rows", "not judged: no rows with known true values were held out"
    for prefix, who in _JUDGED.items():
        found = [
            f"{shown_name(name)} {manifest.metrics[prefix + name]:.4g}"
            for name in names
            if prefix + name in manifest.metrics
        ]
        if found:
            yield who, ", ".join(found)


def _calibration(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    """By what scores were divided, what that did to the calibration error, and the sets of classes."""
    if not manifest.HasField("calibration"):
        return
    made = manifest.calibration
    text = f"of scores over a temperature of {made.temperature:.4g}"
    if made.temperature == 1:
        text = "of scores as they are, since no temperature was better by more than chance"
    found, rows = (made.test, "test rows") if made.test.rows else (made.estimated, "training rows, as estimated")
    if found.rows:
        text += f"; calibration error {found.error_after:.4f} on {found.rows:,} {rows}"
        if found.temperature != made.temperature:
            text += f", judged at a temperature of {found.temperature:.4g}"
        if found.temperature != 1:
            text += f", {found.error_before:.4f} without it"
        text += f"; by chance alone, right probabilities have {found.error_by_chance:.4f}"
    yield "probabilities", text
    if made.HasField("sets"):
        yield "sets of classes", sets_text(manifest)


def _lineage(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    if manifest.HasField("origin"):
        files = list_names([file.name for file in manifest.origin.files])
        yield "imported from", f"{manifest.origin.kind}, {files}"
    if manifest.continued_from:
        yield "continued from", f"version {manifest.continued_from}, trained on new rows"
    if manifest.created:
        yield "created", f"{manifest.created} by kan-serving {manifest.library_version}"
