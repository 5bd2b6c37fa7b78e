"""The command in an imported version is the one that imports it."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from training.cli import main
from training.pipelines.importing import Import, import_network
from training.publishing.repository import read_manifest


@pytest.mark.slow
def test_the_command_imports_the_same_again(folder: Path, state: Callable[..., Mapping[str, Tensor]]) -> None:
    """All options, names with commas, quotes and spaces; given again it makes the next version, alike but for time."""
    (folder / "deep").mkdir()
    torch.save(state(prefix="head."), folder / "deep" / "my net.pt")
    wanted = Import(
        "efficient-kan",
        folder / "deep" / "my net.pt",
        "m",
        folder / "models",
        prefix="head.",
        features=("a, b", 'c"d', "e"),
        task="classification",
        classes=("no", "yes, it is"),
        target="what's",
        tolerance=2e-5,
        tune_for=(),
        held_out=folder / "rows.csv",
        decimal=",",
    )
    pd.DataFrame({"a, b": [0.5, 1e-5], 'c"d': [0.1, 2], "e": [0.25, 3], "what's": ["no", "yes, it is"]}).to_csv(
        folder / "rows.csv", index=False, sep=";", decimal=","
    )
    first = import_network(wanted).manifest
    words = shlex.split(first.origin.command)
    assert str(folder) not in first.origin.command
    words[words.index("my net.pt")] = "deep/my net.pt"
    assert words[0] == "kan-train"
    assert main(words[1:]) == 0
    second = read_manifest(folder / "models" / "m" / "2")
    assert second is not None
    assert second.lowering.tolerance == 2e-5
    for field in ("features", "classes", "target", "origin", "network", "data"):
        assert getattr(second, field) == getattr(first, field)


def test_what_is_so_by_default_is_not_said(folder: Path, state: Callable[..., Mapping[str, Tensor]]) -> None:
    """Beyond kind, file and name nothing is needed."""
    torch.save(state((1, 1)), "net.pt")
    wanted = Import("efficient-kan", Path("net.pt"), "m", Path("models"), tune_for=(1,))
    command = import_network(wanted).manifest.origin.command
    assert command == "kan-train import efficient-kan net.pt --name m --tune-for 1"
    command = import_network(replace(wanted, tune_for=(1, 32, 1024))).manifest.origin.command
    assert command == "kan-train import efficient-kan net.pt --name m"
