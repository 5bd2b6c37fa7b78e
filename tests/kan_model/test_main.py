"""``python -m kan_model`` tells what a file of a network holds."""

from pathlib import Path

import pytest

from kan_model import KAN, KANConfig
from kan_model.__main__ import main
from kan_model.network import checkpoint


def test_a_network_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Width, grid and edges are those of the network that was saved."""
    checkpoint.save(KAN(KANConfig((2, 3, 1), grid_size=4), seed=0), tmp_path / "k.safetensors")
    assert main([str(tmp_path / "k.safetensors")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("KAN [2, 3, 1], float32")
    assert "layer 0: 6 of 6 edges, grid 4, degree 3" in text


def test_another_file_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An absent file and one of another kind end with exit code 2."""
    (tmp_path / "x").write_bytes(b"no network")
    for name in ("absent", "x"):
        assert main([str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
