"""Tables beside an imported network are read as clients will send them."""

from pathlib import Path

import numpy as np
import pytest

from training.errors import DataError
from training.pipelines.importing.rows import Target, read_held_out, read_training, spread

NUMBER = Target("y", (), 1)


def test_spread_rows_cover_every_range_evenly() -> None:
    """Each column is all of its even steps, both ends among them, and no column follows another."""
    low, high = np.array([-1.0, 5.0, 0.0]), np.array([1.0, 6.0, 1e-3])
    x = spread(low, high, 200)
    for place in range(3):
        np.testing.assert_allclose(np.sort(x[:, place]), np.linspace(low[place], high[place], 200))
    assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 0.3
    np.testing.assert_array_equal(x, spread(low, high, 200))


def test_values_are_those_of_float32(tmp_path: Path) -> None:
    """Inputs are what a client can send; the truth keeps its digits."""
    (tmp_path / "t.csv").write_text("a,y,b\n0.1,0.1,2\n0.2,0.3,3\n")
    given = read_training(tmp_path / "t.csv", 2, NUMBER)
    assert given.names == ("a", "b")
    np.testing.assert_array_equal(given.x, [[np.float32(0.1), 2], [np.float32(0.2), 3]])
    np.testing.assert_array_equal(given.truth, [[0.1], [0.3]])


def test_held_out_columns_go_by_name(tmp_path: Path) -> None:
    """In any order, among others; numbers of classes are words, in one spelling."""
    (tmp_path / "t.csv").write_text("more,b,y,a\nx,2,1.0,1\nz,4,0,3\n")
    given = read_held_out(tmp_path / "t.csv", 2, ("a", "b"), Target("y", ("0", "1"), 2))
    np.testing.assert_array_equal(given.x, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(given.truth, [1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,3\n1,,3\n", r'"b": 1 cell .* row 2 \(line 3\)'),
        ("a,b,y\n1,2,3\n1,2,nan\n", r'"y": 1 cell .* row 2 \(line 3\)'),
        ("a,b,y\n1,2,x\n", '"y": row 1 .*"x"'),
        ("a,b,y\n1,inf,3\n", "finite number of float32"),
        ("a,b\n1,2\n", 'no column "y" .the target.'),
        ("a,y\n1,2\n", 'no column "b" .an input.'),
    ],
)
def test_rows_that_judge_nothing_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error names column and row."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_held_out(tmp_path / "t.csv", 2, ("a", "b"), NUMBER)


def test_a_decimal_comma_is_told_without_a_key(tmp_path: Path) -> None:
    """The command reads no recipe, so its error names the option and no key."""
    (tmp_path / "t.csv").write_text('a,b,y\n1,"2,5",3\n')
    message = r'"b": row 1 .*"2,5", .* \(decimals are written with a point, unless --decimal "," is given\)$'
    with pytest.raises(DataError, match=message):
        read_training(tmp_path / "t.csv", 2, NUMBER)
    with pytest.raises(DataError, match=message):
        read_held_out(tmp_path / "t.csv", 2, None, NUMBER)


@pytest.mark.parametrize("cell", ["2,5", "0,25E+01", "25e-1"])
def test_decimal_commas_are_read_where_they_are_said(tmp_path: Path, cell: str) -> None:
    """Inputs and truth, with exponents too; a point is then told with the option."""
    (tmp_path / "t.csv").write_text(f"a;b;y\n1;{cell};3,5\n2,5E-05;1;4\n")
    for given in (
        read_training(tmp_path / "t.csv", 2, NUMBER, ","),
        read_held_out(tmp_path / "t.csv", 2, ("a", "b"), NUMBER, ","),
    ):
        np.testing.assert_array_equal(given.x, np.array([[1, 2.5], [2.5e-5, 1]], np.float32))
        np.testing.assert_array_equal(given.truth, [[3.5], [4]])
    (tmp_path / "t.csv").write_text("a;b;y\n1;2.5;3,5\n")
    with pytest.raises(DataError, match='because of --decimal ","'):
        read_training(tmp_path / "t.csv", 2, NUMBER, ",")


def test_several_outputs_without_classes_have_no_truth(tmp_path: Path) -> None:
    """The table that trained them is read all the same; to judge by it is refused."""
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,3\n")
    assert read_training(tmp_path / "t.csv", 2, Target("y", (), 2)).truth is None
    with pytest.raises(DataError, match="network has 2 outputs"):
        read_held_out(tmp_path / "t.csv", 2, None, Target("y", (), 2))


def test_inputs_that_float32_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    """A client could send no row between."""
    (tmp_path / "t.csv").write_text("a,b\n16777216,1\n16777218,2\n")
    with pytest.raises(DataError, match=r'"a": .*span 2'):
        read_training(tmp_path / "t.csv", 2, NUMBER)
