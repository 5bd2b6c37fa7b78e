"""kan-client predict: predict the rows of a file with one version, and print each answer as it arrives.

A table holds the answers of one version only. If that version is removed before the last row, the table begins anew
with the newest version: the file is read again, and the printed lines are removed from the output file.

Lines on a pipe or a terminal cannot be removed, and holding them back would take memory that grows with the table. Then
the table ends with a line that says that it is incomplete, and the exit code is 1. The same holds for a table that ends
because a row is wrong or the server failed: in a file nothing is left, elsewhere the last line says so.

An interrupt, a server that is absent or full, and a token that ends are no fault of the rows. In a file the answers
stay, and a message says how many rows are answered and how to ask for the rest.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, TextIO

from service.client.client import Client
from service.client.command.answer_table import header_lines
from service.client.command.bad_rows import BadRows
from service.client.command.prediction_job import Outcome, PredictionJob
from service.client.command.printed import Printed, Replay
from service.client.command.table_pass import TablePass
from service.client.errors import INTERRUPTIONS, ClientError, NotFound, Overloaded
from service.client.streaming.conversation import MOST_FRESH_STARTS
from service.client.streaming.patience import Patience

__all__ = ["IncompleteTable", "Outcome", "PredictionJob", "predict_file"]


class IncompleteTable(ClientError):
    """The version that answered has been removed, and the table cannot begin anew."""


def predict_file(
    client: Client,
    job: PredictionJob,
    stream: BinaryIO,
    output: TextIO,
    tell: Callable[[str], None],
    show_progress: Callable[[int, float | None], None] = lambda _rows, _share: None,
    tell_wait: Callable[[float, Overloaded], None] = lambda _seconds, _refusal: None,
) -> Outcome:
    """Print an answer for each row of a file. The answer of a bad row is empty, unless the job is strict.

    Args:
        client: connected to the server.
        job: the model and the formats.
        stream: the file.
        output: gets the answers.
        tell: gets messages for people, among them the first bad rows.
        show_progress: gets the number of rows answered so far, and the share of the file that has been read (None for
            a pipe).
        tell_wait: is called before each wait that a quota or a full server asks for, with its seconds and the refusal.

    Returns:
        The score of the answers, and whether a row was bad.

    Raises:
        InvalidInput: when the file does not fit the model.
        NotFound: when there is no such model or version.
        IncompleteTable: when the version that answered was removed and the table cannot begin anew: printed lines
            cannot be removed, rows cannot be read again, or it has happened more than three times.
    """
    text, printed = Replay(stream), Printed(output)
    try:
        patience = Patience(tell_wait, job.longest_wait_seconds)
        outcome = _answer(client, job, text, printed, tell, show_progress, patience)
        printed.flush()  # here, because a full disk must not leave a part of the table
        return outcome
    except BrokenPipeError:
        raise  # nobody reads the output any more
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        with suppress(OSError):  # a full disk
            stays = isinstance(error, IncompleteTable) or (isinstance(error, INTERRUPTIONS) and printed.is_file)
            if not stays and not printed.take_back():
                # How many lines an interrupt lets arrive on a pipe cannot be known: Python drops pending ones.
                known = isinstance(error, Exception)
                _mark_incomplete(job, printed, f"{error}, after {printed.lines} lines" if known else "interrupted")
        raise


def _answer(
    client: Client,
    job: PredictionJob,
    text: Replay,
    printed: Printed,
    tell: Callable[[str], None],
    show_progress: Callable[[int, float | None], None],
    patience: Patience,
) -> Outcome:
    manifest = client.manifest(job.model, job.version)
    bad_rows = BadRows(f"{job.source} after row {job.skip_rows}" if job.skip_rows else job.source, tell)
    for begun_anew in range(MOST_FRESH_STARTS + 1):
        bad_rows.begin()
        tell_once = _silent if begun_anew else tell
        attempt = TablePass(client, job, manifest, bad_rows, tell_once, show_progress, patience)
        try:
            score = attempt.run(text, printed)
            if others := attempt.others.summary():
                tell(f"{job.source}: {others}")
            for line in attempt.ground.lines():
                tell(line)
            return Outcome(score, has_bad_row=bad_rows.finish())
        except NotFound as gone:
            if job.version:
                raise
            version, rows = f"version {manifest.version} of {job.model}", printed.lines
            last = begun_anew == MOST_FRESH_STARTS
            if not printed.take_back() or last or not text.rewind():
                raise _incomplete(job, printed, version, rows, begun_anew) from gone
        except INTERRUPTIONS as error:
            if printed.is_file:
                with suppress(OSError):  # a full disk
                    _tell_rest(job, text, printed, tell, attempt, error)
            raise
        manifest = client.manifest(job.model)
        tell(f"{version} is gone; the table begins anew on version {manifest.version}")
    raise AssertionError("the last pass returns or raises")


def _tell_rest(
    job: PredictionJob,
    text: Replay,
    printed: Printed,
    tell: Callable[[str], None],
    attempt: TablePass,
    error: BaseException,
) -> None:
    """Say how many rows are answered and how to ask for the rest, if any are."""
    new = printed.keep() - header_lines(job.style, job.skip_rows)
    if new <= 0:
        return
    rows, total = job.skip_rows + new, None
    with suppress(KeyboardInterrupt, SystemExit):  # a second interrupt ends the count
        total = attempt.count_rows(text)
    count = f"{rows:,} rows are" if total is None else f"{rows:,} of {total:,} rows are"
    why = "" if isinstance(error, Exception) else "interrupted: "
    flags = f"--skip-rows {rows} --model-version {attempt.version}"
    tell(f"{why}{count} answered; for the rest add {flags} to the command, and append its answers (>> FILE)")


def _incomplete(job: PredictionJob, printed: Printed, version: str, rows: int, begun_anew: int) -> IncompleteTable:
    """The error for a table that cannot begin anew. If lines were printed, one more line there says so too."""
    if begun_anew == MOST_FRESH_STARTS:
        why = f"{version} is gone, as were {begun_anew} before it: try again later"
    else:
        why = f"{version} is gone after {rows} lines; from a file into a file (> FILE) a table begins anew by itself"
    _mark_incomplete(job, printed, why)
    return IncompleteTable(why)


def _mark_incomplete(job: PredictionJob, printed: Printed, why: str) -> None:
    """If lines were printed that cannot be removed, say in a last line that they are not all."""
    if printed.lines:
        why = " ".join(why.split())
        mark = f"incomplete: {why}"
        printed.write(json.dumps({"incomplete": why}) + "\n" if job.style == "json" else f"# {mark}\n")


def _silent(_: str) -> None:
    pass
