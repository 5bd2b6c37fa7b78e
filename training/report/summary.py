"""The lines that a command prints at its end."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from kan_api.metric_names import is_nearer, shown_name
from kan_api.network_text import network_text, quantile_pair_text, size_text
from kan_api.v1.manifest_pb2 import ModelManifest
from training.publishing.metrics import UNANSWERED
from training.publishing.publish import Published
from training.publishing.whole_formula import formula_lines
from training.report.report import NAME as REPORT
from training.report.verdict import judge_version

# Longer formulas are not shown in the terminal; a file has them.
MOST_CHARACTERS = 500


def of_run(published: Published, held_out: Path) -> str:
    """The lines after training.

    Args:
        published: The version.
        held_out: The file of the test rows.
    """
    manifest, lowering = published.manifest, published.manifest.lowering
    silent = manifest.metrics.get(f"test_{UNANSWERED}", 0)
    unanswered = [f"  warning   no answer to {silent:.0f} test rows; the scores are of the others"] if silent else []
    # After a refit the test rows have judged another network.
    part = "train_" if manifest.data.refit else "test_"
    losses = ", ".join(
        f"{shown_name(name.removeprefix(part))} {value:+.4g}"
        for name, value in sorted(lowering.precision_loss.items())
        if name.startswith(part)
    )
    precision = f" in {lowering.precision}; float32 less this: {losses}" if losses else ""
    when = " before the refit" if manifest.data.refit else ""
    judged = f"  test      {manifest.data.test_rows} rows{when}: {_metrics(manifest, 'test_')}  ({held_out})"
    each = [f"  {target}: {_metrics(manifest, 'test_', f'_of_{target}')}" for target in manifest.targets]
    verdict, warnings = judge_version(manifest)
    return "\n".join(
        [
            *_network(published, f" and {held_out.with_name('formula.txt')}"),
            *_graph(published, precision),
            judged,
            *each,
            *unanswered,
            *_intervals(manifest),
            *([f"  verdict   {verdict}"] if verdict else []),
            *(f"  warning   {warning}" for warning in warnings),
            *_next_steps(published, held_out),
        ]
    )


def _intervals(manifest: ModelManifest) -> Iterator[str]:
    """What the bounds of each target were asked for, and what they kept."""
    told, names = manifest.intervals, list(manifest.targets) or [""]
    for place, (name, share, width) in enumerate(zip(names, told.judged_coverage, told.judged_width, strict=False)):
        which = "test rows" if told.judged_by == "test" else "rows, by bounds from other rows,"
        yield (
            f"  intervals {f'{name}: ' if name else ''}{100 * told.coverage:g} % asked for, {100 * share:.1f} % of "
            f"{told.judged_rows:,} {which} between lower and upper, {width:.4g} apart on average"
        )
        if beside := quantile_pair_text(told, place):
            yield f"  beside    {f'{name}: ' if name else ''}boosted trees of two quantiles: {beside}"


def facts(published: Published) -> dict[str, Any]:
    """What a program wants to know of a published version; for --json."""
    manifest = published.manifest
    verdict, warnings = judge_version(manifest)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "folder": str(published.folder),
        "report": str(published.folder / REPORT) if any(file.name == REPORT for file in manifest.files) else None,
        "metrics": dict(sorted(manifest.metrics.items())),
        "formula": manifest.formula,
        "intervals": MessageToDict(manifest.intervals) if manifest.HasField("intervals") else None,
        "calibration": MessageToDict(manifest.calibration) if manifest.HasField("calibration") else None,
        "pairs": [[pair.first, pair.second] for pair in manifest.pairs],
        "parameters": manifest.network.parameters,
        "strategies": list(manifest.lowering.strategies),
        "max_relative_error": manifest.lowering.max_relative_error,
        "verdict": verdict,
        "warnings": list(warnings),
        "notes": list(published.notes),
    }


def shown_formula(text: str, file: Path) -> tuple[list[str], Path | None]:
    """The lines for people, and the file that has the formula if they are too long; all lines if it cannot be written.

    Args:
        text: One line an output.
        file: Where long formulas go.
    """
    lines = text.splitlines()
    if all(len(line) <= MOST_CHARACTERS for line in lines):
        return lines, None
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        return [f"{file}: cannot write the formula here: {error.strerror}", *lines], None
    return [f"the formula is longer than {MOST_CHARACTERS} characters: see {file}"], file


def of_import(published: Published) -> str:
    """The lines after an import, with metrics if there were rows to compute them."""
    data = published.manifest.data
    parts = (("train_", "training ", data.train_rows), ("test_", "test     ", data.test_rows))
    judged = [
        f"  {name} {rows} rows: {metrics}"
        for part, name, rows in parts
        if (metrics := _metrics(published.manifest, part))
    ]
    return "\n".join([*_network(published), *_graph(published), *judged, *_next_steps(published)])


def _network(published: Published, further_file: str = "") -> Iterator[str]:
    manifest = published.manifest
    network = manifest.network
    yield f"published {published.folder}"
    yield from (f"  {note}" for note in published.notes)
    lines = formula_lines(manifest).splitlines()
    yield from (f"  formula   {line}" for line in lines if len(line) <= MOST_CHARACTERS)
    if longer := sum(len(line) > MOST_CHARACTERS for line in lines):
        several = f"{longer} more: " if longer < len(lines) else ""
        yield f"  formula   {several}too long to be shown here; see {published.folder / REPORT}{further_file}"
    yield from _formula_errors(manifest)
    grid = f"input grid {network.grid_size}, degree {network.degree}"
    yield f"  network   {network_text(manifest)}, {grid}, {size_text(network)}"


def _formula_errors(manifest: ModelManifest) -> Iterator[str]:
    """The error of the formula beside that of the network of splines."""
    details = manifest.formula_details
    if not details.formula_metrics:
        return
    name = "log_loss" if "test_log_loss" in details.formula_metrics else "rmse"
    ours, theirs = (each.get(f"test_{name}") for each in (details.formula_metrics, details.network_metrics))
    if ours is None or theirs is None:
        return
    tells = details.r2_to_network and not is_nearer(details.formula_metrics, details.network_metrics)
    close = f"; R² {min(details.r2_to_network):.4f} against the network" if tells else ""
    served = "served" if details.served else "told in report.html and manifest.json"
    yield f"  formula   {served}: {shown_name(name)} {ours:.4g} on the test rows, the network {theirs:.4g}{close}"


def _graph(published: Published, precision: str = "") -> Iterator[str]:
    lowering = published.manifest.lowering
    yield (
        f"  ONNX      within {lowering.max_relative_error:.1g} of float64 on {lowering.verified_rows} rows, "
        f"tolerance {lowering.tolerance:g}"
    )
    yield f"  lowering  {', '.join(lowering.strategies)}{precision}"


def _next_steps(published: Published, held_out: Path | None = None) -> Iterator[str]:
    """Where the report is, and the commands that serve the version and ask it."""
    manifest = published.manifest
    yield f"  report    {published.folder / REPORT}"
    yield "  serve it  kan-serve --models " + shlex.quote(str(published.folder.parent.parent))
    if held_out is not None:
        ask = ["kan-client", "predict", manifest.name, str(held_out)]
        # Of several targets none comes first; after a refit the rows would flatter the network, which trained on them.
        ask += ["--target", manifest.target] if manifest.target and not manifest.data.refit else []
        yield "  ask it    " + shlex.join(ask)


def _metrics(manifest: ModelManifest, part: str, of: str = "") -> str:
    """The metrics of a part of the rows: ``of`` one target, or else the others."""
    ends = tuple(f"_of_{target}" for target in manifest.targets)
    return ", ".join(
        f"{shown_name(name.removeprefix(part).removesuffix(of))} {value:.4g}"
        for name, value in sorted(manifest.metrics.items())
        if name.startswith(part) and (name.endswith(of) if of else not name.endswith(ends))
    )


def of_tuning(published: Published) -> str:
    """The lines after tuning: a table with one line per strategy and its microseconds per batch size."""
    manifest = published.manifest
    lines = [f"published {published.folder}", *(f"  {note}" for note in published.notes)]
    lines.append(f"  runs of {manifest.preferred_rows} rows take the least time per row")
    for index, layer in enumerate(manifest.lowering.layers):
        for candidate in layer.candidates:
            times = "".join(f"{1e6 * timing.seconds:10.1f}" for timing in candidate.timings)
            kept = candidate.strategy == layer.strategy
            lines.append(
                f"  layer {index}  {candidate.strategy:26}  error {candidate.max_relative_error:.0e}  "
                + (f"µs {times}{'   kept' if kept else ''}" if times else "too far from float64")
            )
    rows = ", ".join(map(str, manifest.lowering.tuned_for))
    return "\n".join([*lines, f"  (µs of the layer alone for {rows} rows, one thread)"])
