"""kan-train: from a table to a published model version."""

import argparse
import csv
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from training.collection import objects_for_good
from training.errors import Interrupted, RecipeError, TrainingError
from training.recipe import MAX_ROWS

if TYPE_CHECKING:
    from training.recipe.config import Recipe

# Torch and pandas take seconds to import, so each command imports them itself. --help then answers at once, and Ctrl-C
# during the import is handled by main().

EXIT_SYSTEM = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0; 1 for an error of the system, such as a full disk; 2 for a mistake in the arguments, the
        recipe or the data; 130 after Ctrl-C, and for `run` also after SIGTERM.
    """
    options = new_parser().parse_args(arguments)
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


def new_parser() -> argparse.ArgumentParser:
    """The command line and its help."""
    parser = argparse.ArgumentParser(
        prog="kan-train", description="Train a KAN on a table and publish it for kan-serve."
    )
    parser.add_argument("--version", action="version", version=f"kan-train {version('kan-serving')}")
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
    run.set_defaults(command=_run, after_interrupt="; --resume goes on from the last state that was saved, if any")

    init = commands.add_parser("init", help="look at a table and write a commented recipe for it")
    init.add_argument("table", type=Path, metavar="DATA", help="a CSV or Parquet file")
    init.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    init.add_argument(
        "--output", type=Path, metavar="FILE", help="the recipe to write (default: DATA.toml in the working folder)"
    )
    init.add_argument("--force", action="store_true", help="replace the file if it exists")
    init.set_defaults(command=_init, after_interrupt="")

    tune = commands.add_parser(
        "tune", help="time a published version's lowerings on this machine and publish the fastest as the next version"
    )
    tune.add_argument("version", type=Path, metavar="FOLDER", help="models/NAME/VERSION, the newest")
    tune.add_argument(
        "--rows",
        type=_row_counts,
        metavar="N,N,…",
        help="batch sizes that will be served, in rows (default: those of the last tuning)",
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
    importing.add_argument("--name", required=True, help="the model's name in the repository")
    importing.add_argument("--models", type=Path, default=Path("models"), help="the model repository (default: models)")
    importing.add_argument("--prefix", help='efficient-kan: the part of tensor names before "layers.", such as kan.')
    names = importing.add_mutually_exclusive_group()
    names.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="the training rows, as the network read them: CSV or Parquet, numbers only, the names of the inputs in "
        "the header; with the target as a further column they are scored too",
    )
    names.add_argument(
        "--features", type=_names, default=(), metavar="A,B,…", help="names of the inputs (default: x1, x2, …)"
    )
    importing.add_argument(
        "--held-out", type=Path, metavar="FILE", help="test rows, which were not trained on, with the target"
    )
    importing.add_argument(
        "--task", choices=("regression", "classification"), help="(default: classification if --classes is given)"
    )
    importing.add_argument(
        "--classes",
        type=_names,
        default=(),
        metavar="A,B,…",
        help="names of the outputs of a classifier; a softmax is added after them",
    )
    importing.add_argument(
        "--target",
        default="target",
        metavar="NAME",
        help="column of the tables with the true values, and the name of the answer (default: target)",
    )
    importing.add_argument(
        "--tolerance", type=float, default=1e-5, help="bound on the error against float64 (default: 1e-5)"
    )
    importing.add_argument(
        "--tune-for",
        type=lambda text: () if text == "none" else _row_counts(text),
        default=(1, 32, 1024),
        metavar="N,N,…",
        help="batch sizes that will be served, in rows, or none (default: 1,32,1024)",
    )
    importing.add_argument(
        "--unknown-ground",
        choices=("answer", "flag", "refuse"),
        default="answer",
        help="what the server does with rows that no training row resembles; flag and refuse need --data "
        "(default: answer)",
    )
    importing.set_defaults(command=_import, after_interrupt="; nothing was published")


def _names(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that contains a comma must be in double quotes."""
    try:
        return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True, strict=True), []))
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; wanted names separated by commas") from None


def _row_counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(word) if word.isdecimal() else 0 for word in text.split(","))
    if not all(1 <= count <= MAX_ROWS for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers from 1 to {MAX_ROWS}, such as 1,32,1024")
    return counts


def _run(options: argparse.Namespace) -> None:
    # Before the imports, so that a mistake in the recipe is told at once.
    recipe = _recipe(options.recipe)

    with objects_for_good():
        from rich.console import Console

        from training.pipelines.interruption import interrupt_on_termination
        from training.pipelines.progress import ProgressBar
        from training.pipelines.run import Run
        from training.pipelines.run_folder import RunFolder
        from training.pipelines.train import train
        from training.report.summary import of_run

    folder = RunFolder(options.runs / recipe.model.name)
    run = Run(recipe, options.models, folder, resume=options.resume, fresh=options.fresh)
    with interrupt_on_termination(), ProgressBar(recipe, Console(stderr=True)) as progress:
        published = train(run, progress)
    print(of_run(published, folder.held_out))


def _recipe(path: Path) -> "Recipe":
    from training.recipe.config import load_recipe

    try:
        return load_recipe(path)
    except RecipeError:
        if path.suffix.lower() == ".toml" or not path.is_file():
            raise
        from training.data.table import PARQUET_SUFFIXES, TEXT_SUFFIXES  # Loads pandas.

        if path.suffix.lower() not in (*TEXT_SUFFIXES, *PARQUET_SUFFIXES):
            raise
        raise RecipeError(
            f"{path}: a recipe is wanted, and this looks like a table; "
            f"`kan-train init {shlex.quote(str(path))} --target COLUMN` writes a recipe for it"
        ) from None


def _init(options: argparse.Namespace) -> None:
    from training.draft.draft import columns_in_doubt, columns_left_out, draft_recipe
    from training.draft.inspection import inspect
    from training.draft.recipe_file import check_output, write_recipe

    path = options.output or Path(options.table.stem + ".toml")
    check_output(path, options.table)
    inspection = inspect(options.table, options.target)
    write_recipe(path, draft_recipe(inspection, path.parent), replace=options.force)
    for line in (*columns_left_out(inspection), *columns_in_doubt(inspection)):
        print(line)
    print(f"wrote {path}; read its comments, then: kan-train run {shlex.quote(str(path))}")


def _tune(options: argparse.Namespace) -> None:
    from training.pipelines.tune import tune
    from training.report.summary import of_tuning

    published = tune(options.version, options.rows)
    print(of_tuning(published))


def _import(options: argparse.Namespace) -> None:
    from training.pipelines.importing import Import, import_network
    from training.report.summary import of_import

    given = {field: getattr(options, field) for field in Import.__dataclass_fields__}
    print(of_import(import_network(Import(**given))))


if __name__ == "__main__":
    sys.exit(main())
