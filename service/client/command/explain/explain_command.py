"""The command line of `kan-client explain`: its options, its reference row and its exit code."""

import argparse
import io
import sys
from collections.abc import Sequence
from typing import Final

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.access.flags import add_server
from service.client.client import Client
from service.client.command.bad_rows import BadRows
from service.client.command.explain.explained_file import ExplainJob, explained_lines
from service.client.command.explain.lines import MINUS
from service.client.command.explain.reference_row import read_reference
from service.client.command.predict_command import add_file, add_model, format_of, open_file
from service.client.command.progress import Progress
from service.client.errors import InvalidInput, list_names
from service.client.streaming.patience import Patience

_OK: Final = 0
_BAD_ROWS: Final = 3


def add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", epilog: str) -> None:
    """Add the command to a command line; arguments as those of `add_predict`."""
    explain = commands.add_parser(
        "explain",
        allow_abbrev=False,
        help="say for the rows of a file which columns made their answers",
        description="Prints a line for each row: the answer = the answer to the reference row + the contributions of "
        "the columns, the largest first. The printed numbers add up.",
        epilog=epilog,
    )
    explain.set_defaults(run=_explain)
    add_model(explain)
    add_file(explain)
    explanation = explain.add_argument_group("the explanation")
    explanation.add_argument(
        "--top", type=_top, default=3, metavar="COUNT", help="number of contributions to name, the largest (default: 3)"
    )
    explanation.add_argument(
        "--class",
        dest="output",
        metavar="NAME",
        help="explain the score of this class (default: of the predicted class), or this target (default: each)",
    )
    explanation.add_argument(
        "--reference",
        metavar="FILE|ROW",
        help="a file with one row, or a row as a JSON object, with which the answers are compared (default: the median "
        "training row)",
    )
    add_server(explain)


def _explain(client: Client, options: argparse.Namespace) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        # The output is UTF-8, as the input is, under any locale.
        sys.stdout.reconfigure(encoding="utf-8")
    messages = Progress(sys.stderr or io.StringIO(), is_shown=False)
    manifest = client.manifest(options.model, options.model_version)
    job = ExplainJob(
        manifest=manifest,
        source="standard input" if options.file == "-" else options.file,
        file_format=format_of(options.file, options.format),
        outputs=_chosen_outputs(manifest, options.output),
        top=options.top,
        reference=None
        if options.reference is None
        else read_reference(manifest, options.reference, messages.tell, options.decimal),
        decimal=options.decimal,
        minus=MINUS if _can_write(MINUS) else "-",
    )
    if job.reference is None and manifest.attribution_graph.from_histograms:
        messages.tell(
            f"the reference row of {manifest.name} is made of the manifest's histograms, because the version was tuned "
            "without its table"
        )
    bad_rows = BadRows(job.source, messages.tell)
    patience = Patience(messages.wait, options.timeout_seconds)
    with open_file(options.file) as stream:
        # The header waits for the first line, so that wrong input prints nothing.
        header = _header(manifest, options.output)
        for line in explained_lines(client, job, stream, bad_rows, messages.tell, patience):
            sys.stdout.write(f"{header}{line}\n")
            header = ""
            messages.show(bad_rows.rows, None)
    return _BAD_ROWS if bad_rows.finish() else _OK


def _header(manifest: ModelManifest, name: str | None) -> str:
    """For classes, a line that says what the numbers are."""
    if manifest.task != TASK_CLASSIFICATION:
        return ""
    of_class = "the predicted class" if name is None else f"class {quoted(name)}"
    return f"# score of {of_class}, before the softmax = score of the reference row + contributions of the columns\n"


def _chosen_outputs(manifest: ModelManifest, name: str | None) -> Sequence[int] | None:
    """The places of the outputs to explain; None: the predicted class of each row.

    Raises:
        InvalidInput: when the model has no output of that name.
    """
    is_classification = manifest.task == TASK_CLASSIFICATION
    names = list(manifest.classes if is_classification else manifest.targets or [manifest.target])
    if name is None:
        return None if is_classification else range(int(manifest.outputs[0].shape[-1]))
    if name not in names:
        kind = "classes" if is_classification else "targets"
        raise InvalidInput(f"--class is {quoted(name)}; {manifest.name} has the {kind} {list_names(names)}")
    return [names.index(name)]


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _top(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return int(text)
