"""The command line of kan-train and its help."""

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from kan_api.completion import complete_models
from training.cli import commands
from training.cli.import_options import add_import
from training.cli.options import add_models, add_output, names, pair_count, row_counts, version_number
from training.recipe import MAX_PAIRS

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_EXIT_CODES = (
    "exit codes: 0 done, 1 an error of the system, such as a full disk, 2 wrong input: arguments, recipe or data, "
    "130 interrupted"
)


def new_parser() -> argparse.ArgumentParser:
    """The command line and its help."""
    parser = argparse.ArgumentParser(
        prog="kan-train", description="Train a KAN on a table and publish it for kan-serve.", epilog=_EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"kan-train {version('kan-serving')}")
    adding = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_init(adding)
    _add_run(adding)
    _add_formula(adding)
    _add_tune(adding)
    add_import(adding, _EXIT_CODES)
    _add_list(adding)
    _add_rollback(adding)
    return parser


def _add_init(adding: "Commands") -> None:
    init = adding.add_parser("init", help="look at a table and write a commented recipe for it", epilog=_EXIT_CODES)
    init.add_argument("table", type=Path, metavar="DATA", help="a CSV or Parquet file")
    reading = init.add_argument_group("the table")
    reading.add_argument("--target", metavar="COLUMN", help="the column to predict; without it the columns are listed")
    reading.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="the mark before the decimals in DATA, a point or a comma as in 3,14 (default: as the table shows it)",
    )
    recipe = init.add_argument_group("the recipe")
    recipe.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the recipe to write; its model is named after it (default: DATA.toml in the working folder)",
    )
    recipe.add_argument("--force", action="store_true", help="replace the file if it exists")
    kind = recipe.add_mutually_exclusive_group()
    kind.add_argument(
        "--additive",
        action="store_true",
        help="a recipe of a sum of curves, one for each column; it takes seconds",
    )
    kind.add_argument(
        "--formula",
        action="store_true",
        help="a recipe that ends in a formula; it takes minutes, and its network may be worse than the usual one",
    )
    recipe.add_argument(
        "--pairs",
        type=pair_count,
        default=0,
        metavar="COUNT",
        help=f"with --additive: also at most K terms of two columns, the strongest (0 to {MAX_PAIRS}; default: 0)",
    )
    add_output(init)
    init.set_defaults(command=commands.init, after_interrupt="")


def _add_run(adding: "Commands") -> None:
    run = adding.add_parser(
        "run", help="train from a recipe and publish the next version of its model", epilog=_EXIT_CODES
    )
    run.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file; `kan-train init` writes one")
    folders = run.add_argument_group("folders")
    add_models(folders)
    folders.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where unfinished runs and held-out rows are kept (default: runs)",
    )
    again = run.add_argument_group("an interrupted run").add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with it")
    again.add_argument("--fresh", action="store_true", help="start anew although it is kept")
    add_output(run)
    run.set_defaults(
        command=commands.run, after_interrupt="; --resume goes on from the last state that was saved, if any"
    )


def _add_formula(adding: "Commands") -> None:
    formula = adding.add_parser(
        "formula",
        help="search the formula of a finished run again, with other bounds",
        description="Take [prune] and [symbolic] again after a finished fit, by edge in about a second an edge. The "
        "formula is told, and nothing is published. To publish one, write what was found to work into the recipe's "
        "[symbolic].",
        epilog=_EXIT_CODES,
    )
    formula.add_argument("run", type=Path, metavar="RUN", help="the folder of the run: runs/NAME")
    search = formula.add_argument_group("the search (default: as the recipe's [symbolic] says)")
    search.add_argument(
        "--min-r2", type=float, metavar="SHARE", help="by edge: least R² of a function on an edge, above 0, at most 1"
    )
    search.add_argument("--functions", type=names, metavar="A,B,…", help="functions to try, such as x,x^2,sin")
    search.add_argument(
        "--choice",
        choices=("by-edge", "in-context"),
        help="by each edge's curve, or by the loss of the whole network in shapes of its own",
    )
    search.add_argument("--seeds", type=int, metavar="COUNT", help="in context: number of searches, 1 to 20")
    search.add_argument(
        "--budget", type=float, metavar="THOUSANDS", help="in context: most work of each search, in edges times steps"
    )
    add_output(formula)
    formula.set_defaults(command=commands.formula, after_interrupt="; nothing was changed")


def _add_tune(adding: "Commands") -> None:
    tune = adding.add_parser(
        "tune",
        help="time a published version's lowerings on this machine and publish the fastest as the next version",
        epilog=_EXIT_CODES,
    )
    tune.add_argument("version", type=Path, metavar="FOLDER", help="models/NAME/VERSION, the newest")
    tune.add_argument_group("what will be served").add_argument(
        "--rows", type=row_counts, metavar="ROWS,ROWS,…", help="batch sizes in rows (default: those of the last tuning)"
    )
    add_output(tune)
    tune.set_defaults(command=commands.tune, after_interrupt="; nothing was published")


def _add_list(adding: "Commands") -> None:
    listing = adding.add_parser("list", help="list the versions of a model repository", epilog=_EXIT_CODES)
    model = listing.add_argument("model", nargs="?", metavar="MODEL", help="one model (default: all)")
    model.completer = complete_models  # type: ignore[attr-defined]
    add_models(listing.add_argument_group("folders"))
    add_output(listing, quiet=False)
    listing.set_defaults(command=commands.list_versions, after_interrupt="")


def _add_rollback(adding: "Commands") -> None:
    rollback = adding.add_parser(
        "rollback",
        help="go back to the version before: withdraw the newest one",
        description="Withdraw the newest version of a model, so that kan-serve answers with the version before. The "
        "withdrawn folder is kept, as .withdrawn-VERSION, and its number is never given again. kan-train asks no "
        "server: if kan-serve refuses the newest version, the one before it answers already; go back further by --to.",
        epilog=_EXIT_CODES,
    )
    model = rollback.add_argument("model", metavar="MODEL", help="the model's name in the repository")
    model.completer = complete_models  # type: ignore[attr-defined]
    rollback.add_argument_group("the version").add_argument(
        "--to",
        type=version_number,
        metavar="VERSION",
        help="the version that answers then; newer ones are withdrawn (default: the one before the newest published)",
    )
    add_models(rollback.add_argument_group("folders"))
    add_output(rollback)
    rollback.set_defaults(command=commands.roll_back, after_interrupt="; `kan-train list` shows what was withdrawn")
