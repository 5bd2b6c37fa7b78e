"""The help of kan-train, kan-client and kan-serve."""

import argparse
import re
from collections.abc import Iterator

import pytest

from service.cli import new_parser as kan_serve
from service.client.cli import new_parser as kan_client
from service.settings.groups import GROUPS
from training.cli.parser import new_parser as kan_train

_UNITS = {"SECONDS", "ROWS", "BYTES", "PORT", "SHARE", "THOUSANDS"}
_COUNTS = {"COUNT", "NUMBER", "VERSION"}
_OF_EVERY_PROGRAM = {"help", "version"}
_WITHOUT_TITLE = ("options", "positional arguments")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


COMMANDS = [command for program in (kan_train, kan_client, kan_serve) for command in commands(program())]
OPTIONS = [
    (f"{command.prog} {action.option_strings[0]}", group.title, action)
    for command in COMMANDS
    for group in command._action_groups
    for action in group._group_actions
    if action.option_strings and action.dest not in _OF_EVERY_PROGRAM
]


def is_number(action: argparse.Action) -> bool:
    """Whether an option takes 7 and refuses x; kan-serve checks its values later, by the fields of its settings."""
    if fields := [group.model_fields[action.dest] for group in GROUPS.values() if action.dest in group.model_fields]:
        return any(kind in str(fields[0].annotation) for kind in ("int", "float"))
    if not callable(action.type):
        return False
    try:
        action.type("7")
    except (ValueError, argparse.ArgumentTypeError):
        return False
    try:
        action.type("x")
    except (ValueError, argparse.ArgumentTypeError):
        return True
    return False


@pytest.mark.parametrize(("title", "action"), [each[1:] for each in OPTIONS], ids=[each[0] for each in OPTIONS])
def test_every_option_is_in_a_group_and_each_number_has_a_unit(title: str, action: argparse.Action) -> None:
    """A title says what the option is about; a value is told by its choices, its unit, or that it is a count."""
    assert title not in _WITHOUT_TITLE
    assert action.help
    if action.nargs != 0 and not action.choices:
        assert action.metavar, "argparse would repeat the name of the option"
    if is_number(action):
        words = set(re.split(r"[,|…]+", str(action.metavar))) - {"", "auto"}
        assert words <= _UNITS | _COUNTS


def test_numbers_are_found() -> None:
    """What the test above looks at, by one option of each kind."""
    numbers = {action.option_strings[0] for _, _, action in OPTIONS if is_number(action)}
    assert numbers >= {"--rows", "--tolerance", "--timeout-seconds", "--skip-rows", "--top", "--workers", "--grpc-port"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.prog)
def test_every_help_shows_its_groups_and_exit_codes(command: argparse.ArgumentParser) -> None:
    """The titles stand in the text, and the codes at its end; each argument says what it is."""
    text = command.format_help()
    for group in command._action_groups:
        if any(action.option_strings for action in group._group_actions):
            assert f"{group.title}:\n" in text
        assert all(action.help or action.choices for action in group._group_actions)
    assert "xit codes: 0 " in text
