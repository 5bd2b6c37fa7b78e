"""The line of progress."""

import io
from functools import partial

import pytest

from service.access.quota import TokenQuotas
from service.access.token_file import Token
from service.client.command.progress import Progress
from service.errors import QuotaExceeded
from service.registry.model.allowance import Allowance
from service.settings import ModelTable


def test_a_short_table_needs_no_line() -> None:
    """The line appears after three seconds, and is replaced at most every half second."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, True, lambda: now[0])
    progress.show(1000, 0.1)
    assert stream.getvalue() == ""
    now[0] = 4.0
    progress.show(2_000_000, 0.25)
    now[0] = 4.4
    progress.show(2_100_000, 0.3)
    assert stream.getvalue() == "\r\x1b[Kkan-client: 2,000,000 rows (25% of the file), 500,000 a second"


def test_messages_stand_on_lines_of_their_own() -> None:
    """A message replaces the line of progress; so does the end."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, True, lambda: now[0])
    progress.tell("first")
    now[0] = 4.0
    progress.show(8, None)
    progress.tell("second\nmessage")
    progress.close()
    now[0] = 5.0
    progress.show(10, None)
    progress.close()
    assert stream.getvalue() == (
        "kan-client: first\n\r\x1b[Kkan-client: 8 rows, 2 a second\r\x1b[Kkan-client: second message\n"
        "\r\x1b[Kkan-client: 10 rows, 2 a second\r\x1b[K"
    )


def test_without_a_terminal_there_is_no_line() -> None:
    """A file of messages holds messages only."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, False, lambda: now[0])
    now[0] = 100.0
    progress.show(1000, None)
    assert stream.getvalue() == ""


def test_waits_are_told_once_they_take_long() -> None:
    """Short ones are nobody's business; long ones are told at once, and then every half minute."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, False, lambda: now[0])
    progress.wait(1.0, ValueError("full"))
    assert stream.getvalue() == ""
    progress.show(512, None)
    for now[0] in (1.0, 6.0, 32.0):
        progress.wait(5.0, ValueError("the quota"))
    line = "kan-client: 512 rows are answered; waiting 5 s: the quota\n"
    assert stream.getvalue() == line * 2


@pytest.mark.parametrize(
    ("whose", "advice"), [("token", "; ask the server's operator for a larger quota"), ("model", "")]
)
def test_a_wait_is_told_with_one_number_of_seconds(whose: str, advice: str) -> None:
    """That of the client, which adds a random part to what the quota of a token, or of a model, asks for. The rest of
    the refusal stays one whole sentence.
    """
    if whose == "token":
        quotas, token = TokenQuotas(), Token("alice", b"", rows_per_second=1e-3)
        take = partial(quotas.take, token, 1)
    else:
        allowance = Allowance("digits")
        allowance.adopt(ModelTable(quota_rows_per_second=1e-3))
        take = partial(allowance._take, 1)
    take()
    with pytest.raises(QuotaExceeded, match=r" again after 1e\+03 s") as refused:
        take()
    stream = io.StringIO()
    Progress(stream, False, lambda: 0.0).wait(1200.0, refused.value)
    said = stream.getvalue()
    assert said.startswith("kan-client: 0 rows are answered; waiting 1.2e+03 s: ")
    assert said.endswith(f"0.001 rows a second{advice}\n")
    assert "1e+03" not in said
