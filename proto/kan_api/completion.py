"""Completion of the command lines of kan-train, kan-serve and kan-client, by argcomplete (the extra `completion`).

A shell is told once: ``eval "$(register-python-argcomplete kan-train)"`` in ``~/.bashrc``. At each press of the Tab key
it then runs the program with the variable _ARGCOMPLETE, and the program answers with words and does nothing else.
"""

import argparse
import os
from collections.abc import Iterable

from kan_api.version_folder import version_number


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process, if a shell asks. Otherwise, or without argcomplete, do nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)


def complete_models(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """The models in the repository that the command line names: folders that hold a version's folder."""
    with os.scandir(parsed_args.models) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix) and entry.is_dir()]
    return [name for name in names if any(map(version_number, os.listdir(os.path.join(parsed_args.models, name))))]
