"""The command lines, as argparse tells them."""

import argparse
from collections.abc import Iterator
from functools import partial

import service.cli
import service.client.cli
import training.cli
from docs.generate.text.tables import code_block

_WIDTH = 100


def page() -> str:
    """The help of each program and each of its commands."""
    parts = ["# Command lines\n"]
    for parser in (training.cli.new_parser(), service.cli.new_parser(), service.client.cli.new_parser()):
        for level, each in _all(parser, 2):
            each.formatter_class = partial(argparse.HelpFormatter, width=_WIDTH)
            parts.append(f"{'#' * level} {each.prog}\n\n{code_block('text', each.format_help())}")
    return "\n".join(parts)


def _all(parser: argparse.ArgumentParser, level: int) -> Iterator[tuple[int, argparse.ArgumentParser]]:
    """The parser and those of its commands."""
    yield level, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all(command, level + 1)
