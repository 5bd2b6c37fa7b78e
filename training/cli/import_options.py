"""The command line of `kan-train import`."""

import argparse
from pathlib import Path

from training.cli import commands
from training.cli.options import add_models, add_output, names, row_counts


def add_import(adding: "argparse._SubParsersAction[argparse.ArgumentParser]", epilog: str) -> None:
    """Add the command to a command line.

    Args:
        adding: Gets the command.
        epilog: The last paragraph of the help.
    """
    importing = adding.add_parser("import", help="publish a network that pykan or efficient-kan trained", epilog=epilog)
    importing.add_argument("kind", choices=("pykan", "efficient-kan"), help="the library that trained it")
    importing.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="pykan: the checkpoint as given to saveckpt; efficient-kan: a file of torch.save(model.state_dict(), …)",
    )
    _add_network(importing)
    _add_tables(importing)
    export = importing.add_argument_group("the graph and the server")
    export.add_argument(
        "--tolerance",
        type=float,
        default=1e-5,
        metavar="SHARE",
        help="bound on the error against float64, as a share of the output's scale (default: 1e-5)",
    )
    export.add_argument(
        "--tune-for",
        type=lambda text: () if text == "none" else row_counts(text),
        default=(1, 32, 1024),
        metavar="ROWS,ROWS,…",
        help="batch sizes that will be served, in rows, or none (default: 1,32,1024)",
    )
    export.add_argument(
        "--unknown-ground",
        choices=("answer", "flag", "refuse"),
        default="answer",
        help="what the server does with rows that no training row resembles; flag and refuse need --data "
        "(default: answer)",
    )
    repository = importing.add_argument_group("the model repository")
    repository.add_argument("--name", required=True, metavar="NAME", help="the model's name in it")
    add_models(repository)
    add_output(importing)
    importing.set_defaults(command=commands.import_network, after_interrupt="; nothing was published")


def _add_network(importing: argparse.ArgumentParser) -> None:
    network = importing.add_argument_group("the network")
    network.add_argument(
        "--prefix", metavar="NAME", help='efficient-kan: the part of tensor names before "layers.", such as kan.'
    )
    network.add_argument(
        "--task", choices=("regression", "classification"), help="(default: classification if --classes is given)"
    )
    network.add_argument(
        "--classes",
        type=names,
        default=(),
        metavar="A,B,…",
        help="names of the outputs of a classifier; a softmax is added after them",
    )


def _add_tables(importing: argparse.ArgumentParser) -> None:
    tables = importing.add_argument_group("its columns and rows")
    either = tables.add_mutually_exclusive_group()
    either.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="the training rows, as the network read them: CSV or Parquet, numbers only, the names of the inputs in "
        "the header; with the target as a further column they are scored too",
    )
    either.add_argument(
        "--features", type=names, default=(), metavar="A,B,…", help="names of the inputs (default: x1, x2, …)"
    )
    tables.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        default=".",
        help="the mark before the decimals of these tables: a comma reads 3,14 (default: a point)",
    )
    tables.add_argument(
        "--held-out", type=Path, metavar="FILE", help="test rows, which were not trained on, with the target"
    )
    tables.add_argument(
        "--target",
        default="target",
        metavar="NAME",
        help="column of the tables with the true values, and the name of the answer (default: target)",
    )
