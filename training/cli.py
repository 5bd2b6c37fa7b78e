"""kan-train: from a table to a published model version."""

import argparse
import csv
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import Interrupted, TrainingError

if TYPE_CHECKING:
    from training.publish import Published
    from training.run_folder import RunFolder

# Torch and pandas take seconds to import; the commands import them themselves, so that --help does not wait and Ctrl-C
# meanwhile is a quiet end like any other.

EXIT_SYSTEM = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130
_MAX_ROWS = 65_536
# Of a formula that is shown in the terminal; report.html has longer ones.
_MOST_CHARACTERS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 where the system refused (a full disk), 2 for a mistake in what was given, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except Interrupted as error:
        print(f"kan-train: {error}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except TrainingError as error:
        print(f"kan-train: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    except OSError as error:
        print(f"kan-train: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_SYSTEM
    except KeyboardInterrupt:
        print(f"kan-train: stopped at once{options.after_interrupt}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kan-train", description="Train a KAN on a table and publish it for kan-serve."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train from a recipe and publish the next version of its model")
    run.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file; `kan-train init` writes one")
    run.add_argument("--models", type=Path, default=Path("models"), help="the model repository (default: models)")
    run.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        help="where unfinished runs and held-out rows are kept (default: runs)",
    )
    again = run.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    again.add_argument("--fresh", action="store_true", help="start anew although an interrupted run is kept")
    run.set_defaults(command=_run, after_interrupt="; --resume goes on with what was kept, if anything was")

    init = commands.add_parser("init", help="look at a table and write a commented recipe for it")
    init.add_argument("table", type=Path, metavar="DATA", help="a CSV or Parquet file")
    init.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    init.set_defaults(command=_init, after_interrupt="")

    tune = commands.add_parser(
        "tune", help="time a published version's lowerings on this machine and publish the fastest as the next version"
    )
    tune.add_argument("version", type=Path, metavar="FOLDER", help="models/NAME/VERSION")
    tune.add_argument(
        "--rows",
        type=_row_counts,
        metavar="N,N,…",
        help="numbers of rows that are served at once (default: those it was tuned for)",
    )
    tune.set_defaults(command=_tune, after_interrupt="; nothing was published")
    _add_import(commands)
    return parser


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    importing = commands.add_parser("import", help="publish a network that pykan or efficient-kan trained")
    importing.add_argument("kind", choices=("pykan", "efficient-kan"), metavar="KIND", help="pykan or efficient-kan")
    importing.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="pykan: the checkpoint as given to saveckpt; efficient-kan: a file of torch.save(model.state_dict(), …)",
    )
    importing.add_argument("--name", required=True, help="what the model is called in the repository")
    importing.add_argument("--models", type=Path, default=Path("models"), help="the model repository (default: models)")
    importing.add_argument("--prefix", help="efficient-kan: what stands before layers. in the names, as kan.")
    names = importing.add_mutually_exclusive_group()
    names.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="the table as the network read it, CSV or Parquet: numbers only, in its header the names of the inputs",
    )
    names.add_argument(
        "--features", type=_names, default=(), metavar="A,B,…", help="names of the inputs (default: x1, x2, …)"
    )
    importing.add_argument(
        "--task", choices=("regression", "classification"), help="(default: classification where --classes are named)"
    )
    importing.add_argument(
        "--classes",
        type=_names,
        default=(),
        metavar="A,B,…",
        help="names of the outputs of a classifier; a softmax is added behind them",
    )
    importing.add_argument("--target", default="target", metavar="NAME", help="what is predicted (default: target)")
    importing.add_argument(
        "--tolerance", type=float, default=1e-5, help="bound on the error against float64 (default: 1e-5)"
    )
    importing.add_argument(
        "--tune-for",
        type=lambda text: () if text == "none" else _row_counts(text),
        default=(1, 32, 1024),
        metavar="N,N,…",
        help="numbers of rows that are served at once, or none (default: 1,32,1024)",
    )
    importing.set_defaults(command=_import, after_interrupt="; nothing was published")


def _names(text: str) -> tuple[str, ...]:
    """Names between commas; one that holds a comma stands in double quotes."""
    try:
        return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True, strict=True), []))
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; wanted names between commas") from None


def _row_counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(word) if word.isdecimal() else 0 for word in text.split(","))
    if not all(1 <= count <= _MAX_ROWS for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers from 1 to {_MAX_ROWS}, as 1,32,1024")
    return counts


def _run(options: argparse.Namespace) -> None:
    from rich.console import Console

    from training.config import load_recipe
    from training.pipeline import Run, train
    from training.progress import ProgressBar
    from training.run_folder import RunFolder

    recipe = load_recipe(options.recipe)
    folder = RunFolder(options.runs / recipe.model.name)
    run = Run(recipe, options.models, folder, resume=options.resume, fresh=options.fresh)
    with ProgressBar(recipe, Console(stderr=True)) as progress:
        published = train(run, progress)
    print(_summary(published, folder))


def _init(options: argparse.Namespace) -> None:
    from training.draft import draft_recipe, write_recipe
    from training.inspection import inspect

    inspection = inspect(options.table, options.target)
    path = Path(options.table.stem + ".toml")
    write_recipe(path, draft_recipe(inspection, Path()))
    print(f"wrote {path}; read its comments, then: kan-train run {shlex.quote(str(path))}")


def _tune(options: argparse.Namespace) -> None:
    from training.tune import tune

    published = tune(options.version, options.rows)
    print(_tuning(published))


def _import(options: argparse.Namespace) -> None:
    from training.importing import Import, import_network

    given = {field: getattr(options, field) for field in Import.__dataclass_fields__}
    print(_imported(import_network(Import(**given))))


def _imported(published: "Published") -> str:
    manifest = published.manifest
    network, lowering = manifest.network, manifest.lowering
    shape = ", ".join(map(str, network.width))
    return "\n".join(
        (
            f"published {published.folder}",
            f"  network   [{shape}], grid {network.grid_size}, degree {network.degree}, "
            f"{network.parameters} parameters",
            f"  ONNX      within {lowering.max_relative_error:.1g} of float64 on {lowering.verified_rows} rows, "
            f"tolerance {lowering.tolerance:g}",
            f"  lowering  {', '.join(lowering.strategies)}",
            "  serve it  kan-serve --models " + shlex.quote(str(published.folder.parent.parent)),
        )
    )


def _tuning(published: "Published") -> str:
    """What was tried, as a table: microseconds by rows, a line a strategy."""
    manifest = published.manifest
    lines = [f"published {published.folder}", f"  runs of {manifest.preferred_rows} rows are cheapest by the row"]
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


def _summary(published: "Published", folder: "RunFolder") -> str:
    manifest = published.manifest
    network, lowering = manifest.network, manifest.lowering
    shape = ", ".join(map(str, network.width))
    metrics = ", ".join(
        f"{name.removeprefix('test_').replace('_', ' ')} {value:.4g}"
        for name, value in sorted(manifest.metrics.items())
        if name.startswith("test_")
    )
    # R² compares with that answer; below zero the model is worse.
    useless = ["  warning   worse than always answering the mean"] if manifest.metrics.get("test_r2", 1.0) < 0 else []
    losses = ", ".join(
        f"{name.removeprefix('test_')} {value:+.4g}"
        for name, value in sorted(lowering.precision_loss.items())
        if name.startswith("test_")
    )
    precision = f" in {lowering.precision}; float32 less this: {losses}" if losses else ""
    return "\n".join(
        (
            f"published {published.folder}",
            *(f"  {note}" for note in published.notes),
            *(f"  formula   {line}" for line in manifest.formula.splitlines() if len(line) <= _MOST_CHARACTERS),
            f"  network   [{shape}], grid {network.grid_size}, degree {network.degree}, "
            f"{network.parameters} parameters",
            f"  held out  {manifest.data.test_rows} rows: {metrics}  ({folder.held_out})",
            *useless,
            f"  ONNX      within {lowering.max_relative_error:.1g} of float64 on {lowering.verified_rows} rows, "
            f"tolerance {lowering.tolerance:g}",
            f"  lowering  {', '.join(lowering.strategies)}{precision}",
            "  serve it  kan-serve --models " + shlex.quote(str(published.folder.parent.parent)),
        )
    )
