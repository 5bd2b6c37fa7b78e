"""Where a network comes from: the files, and the command that took them."""

import hashlib
import shlex
from pathlib import Path

from kan_api.v1 import manifest_pb2 as pb
from training.pipelines.importing.wanted import Import

# Of pykan's checkpoint: what stands behind the path that saveckpt was given.
CHECKPOINT_ENDINGS = ("_config.yml", "_state")


def describe_origin(wanted: Import) -> pb.Origin:
    """What the manifest says of it. The files must be there."""
    path = wanted.path
    paths = [path]
    if wanted.kind == "pykan":
        paths = [Path(f"{path}{ending}") for ending in CHECKPOINT_ENDINGS]
    found = []
    for each in paths:
        content = each.read_bytes()
        found.append(pb.File(name=each.name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content)))
    return pb.Origin(kind=wanted.kind, files=found, command=_write_command(wanted))


def _write_command(wanted: Import) -> str:
    """As it could be given again where the files lie; the repository is not named, nor what is so by default."""
    rows = ",".join(map(str, wanted.tune_for)) or "none"
    words = ["kan-train", "import", wanted.kind, wanted.path.name, "--name", wanted.name]
    for option, value in (
        ("--prefix", wanted.prefix),
        ("--data", wanted.data and wanted.data.name),
        ("--held-out", wanted.held_out and wanted.held_out.name),
        ("--decimal", wanted.decimal if wanted.decimal != Import.decimal else ""),
        ("--features", ",".join(map(_in_list, wanted.features))),
        ("--task", wanted.task),
        ("--classes", ",".join(map(_in_list, wanted.classes))),
        ("--target", wanted.target if wanted.target != Import.target else ""),
        ("--tolerance", f"{wanted.tolerance:g}" if wanted.tolerance != Import.tolerance else ""),
        ("--tune-for", rows if wanted.tune_for != Import.tune_for else ""),
    ):
        words += [option, value] if value else []
    return shlex.join(words)


def _in_list(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"') or name != name.strip() else name
