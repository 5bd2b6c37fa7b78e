"""From recipe to matrices: the dataset holds the table's values."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from training.data.dataset import Dataset, prepare
from training.errors import DataError
from training.pipelines.held_out import held_out_table
from training.recipe.config import load_recipe, parse_recipe

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def make_table(rows: int = 60) -> pd.DataFrame:
    """A table with numbers, words, classes, groups and dates, without flaws."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 90, rows),
            "town": generator.choice(["Ulm", "Bonn", "Köln"], rows),
            "day": pd.date_range("2020-01-01", periods=rows).astype(str)[::-1],
            "who": generator.choice(list("abcdef"), rows),
            "kind": generator.choice(["yes", "no"], rows),
            "price": generator.normal(100.0, 10.0, rows),
        }
    ).astype({"age": object, "town": object})


def prepared(
    folder: Path,
    frame: pd.DataFrame,
    *,
    target: str = "price",
    task: str = "regression",
    data: str = "",
    split: str = 'kind = "random"',
    words: str | None = '["Bonn", "Köln", "Ulm"]',
) -> Dataset:
    """The dataset of the table, written as CSV, by a recipe with these lines."""
    columns = "" if "columns =" in data else 'columns = ["town", "age"]'
    frame.to_csv(folder / "t.csv", index=False)
    text = f"""
[model]
name = "m"
[data]
path = "t.csv"
target = "{target}"
{columns}
{data}
{"" if words is None else f"[data.categories]{chr(10)}town = {words}"}
[task]
kind = "{task}"
[split]
{split}
"""
    return prepare(parse_recipe(text, folder=folder, name="r.toml"))


def test_features_are_the_columns_in_order_and_words_one_hot(tmp_path: Path) -> None:
    """Each row of the matrix is the row of the table; a word is one 1 among zeros."""
    frame = make_table()
    dataset = prepared(tmp_path, frame)
    assert [feature.name for feature in dataset.features] == ["town=Bonn", "town=Köln", "town=Ulm", "age"]
    assert [feature.category for feature in dataset.features] == ["Bonn", "Köln", "Ulm", None]
    np.testing.assert_array_equal(dataset.x[:, 3], frame["age"].astype(float))
    np.testing.assert_array_equal(dataset.x[:, :3], pd.get_dummies(frame["town"]).astype(float))
    np.testing.assert_array_equal(dataset.y, frame[["price"]])
    assert dataset.source == "t.csv"
    assert dataset.imputed == (None,) * 4


def test_features_are_rounded_to_float32_and_the_target_is_not(tmp_path: Path) -> None:
    """Features are rounded to float32, as the service gets them; the target is not."""
    frame = make_table().assign(age=0.1)
    frame.loc[0, "age"] = 0.3
    dataset = prepared(tmp_path, frame)
    assert dataset.x[1, 3] == float(np.float32(0.1))
    np.testing.assert_array_equal(dataset.x, dataset.x.astype(np.float32))
    np.testing.assert_array_equal(dataset.y[:, 0], frame["price"])


def test_classes_are_words_in_order(tmp_path: Path) -> None:
    """Y is the index of the row's word in the classes; numbers are sorted by size, not as text."""
    frame = make_table()
    dataset = prepared(tmp_path, frame, target="kind", task="classification")
    assert dataset.classes == ("no", "yes")
    assert [dataset.classes[code] for code in dataset.y] == frame["kind"].tolist()
    numbered = frame.assign(kind=np.arange(60) % 12)
    assert prepared(tmp_path, numbered, target="kind", task="classification").classes == tuple(map(str, range(12)))


def test_missing_numbers_stay_nan_beside_the_median_of_the_training_rows(tmp_path: Path) -> None:
    """Nothing of the other rows leaks into what is imputed; the empty word is a word."""
    frame = make_table()
    frame.loc[[3, 17], "age"] = np.nan
    frame.loc[[4, 20, 21], "town"] = None
    dataset = prepared(tmp_path, frame, data='missing = "median"', words='["", "Bonn", "Köln", "Ulm"]')
    assert np.isnan(dataset.x[[3, 17], 4]).all()
    assert np.isnan(dataset.x).sum() == 2
    np.testing.assert_array_equal(dataset.x[[4, 20, 21], :4], [[1, 0, 0, 0]] * 3)
    ages = frame["age"].astype(float).to_numpy()
    assert dataset.imputed[4] == np.float32(np.nanmedian(ages[dataset.train]))
    assert dataset.imputed[:4] == (None,) * 4


def test_the_network_is_told_of_gaps_in_columns_that_have_some(tmp_path: Path) -> None:
    """The columns and the values are those of median; a column that no row has, or every row, needs no gap input."""
    frame = make_table().assign(size=np.arange(60.0), none=np.nan)
    frame.loc[::5, "age"] = np.nan
    lines = 'columns = ["town", "age", "size", "none"]\nmissing = '
    median, told = (prepared(tmp_path, frame, data=lines + mode) for mode in ('"median"', '"indicator"'))
    assert (median.gaps, told.gaps) == ((), (3,))
    assert told.imputed == median.imputed
    assert told.imputed[4] is not None
    assert told.fingerprint == median.fingerprint
    assert told.input_names == (*(feature.name for feature in told.features), "age missing")


def test_rows_without_a_target_or_a_time_are_dropped_and_gaps_stay(tmp_path: Path) -> None:
    """Such rows teach nothing, and no row that is served is lost by it; a table of only such rows is refused."""
    frame = make_table()
    frame.loc[:4, "price"] = np.nan
    frame.loc[5:6, "day"] = None
    frame.loc[10:15, "age"] = np.nan
    dataset = prepared(tmp_path, frame, data='missing = "indicator"', split='kind = "time"\ncolumn = "day"')
    assert (dataset.dropped_rows, int(np.isnan(dataset.x).sum())) == (7, 6)
    with pytest.raises(DataError, match='no row has a value in column "price"'):
        prepared(tmp_path, frame.assign(price=np.nan), data='missing = "indicator"')


def test_rows_with_missing_cells_are_dropped_and_counted(tmp_path: Path) -> None:
    """drop_rows leaves rows without gaps, in inputs, target and the column of the split."""
    frame = make_table()
    frame.loc[3, "age"] = np.nan
    frame.loc[4, "town"] = None
    frame.loc[5, "price"] = np.nan
    frame.loc[6, "day"] = None
    dataset = prepared(tmp_path, frame, data='missing = "drop_rows"', split='kind = "time"\ncolumn = "day"')
    assert dataset.dropped_rows == 4
    assert dataset.x.shape == (56, 4)
    assert not np.isnan(dataset.x).any()
    np.testing.assert_array_equal(dataset.y[:, 0], frame["price"].drop([3, 4, 5, 6]))


def test_constant_features_are_kept_marked_and_named(tmp_path: Path) -> None:
    """A feature of one value, and a word that never occurs, are in the matrix and in a warning."""
    frame = make_table().assign(age=7)
    dataset = prepared(tmp_path, frame, words='["Bonn", "Köln", "Ulm", "Rom"]')
    assert dataset.constant == (False, False, False, True, True)
    assert len(dataset.warnings) == 1
    assert '"town=Rom", "age"' in dataset.warnings[0]


def test_constant_inputs_are_refused_unless_their_gaps_tell_something(tmp_path: Path) -> None:
    """With an input that is 1 where the only column has a gap, there is something to learn; without it there is not."""
    frame = make_table().assign(age=7.0)
    frame.loc[::3, "age"] = np.nan
    told = prepared(tmp_path, frame, data='columns = ["age"]\nmissing = "indicator"', words=None)
    assert (told.constant, told.gaps) == ((True,), (0,))
    with pytest.raises(DataError, match=r'1 of 1 inputs holds one value only .* wanted one that varies: "age"'):
        prepared(tmp_path, frame, data='columns = ["age"]\nmissing = "median"', words=None)


def test_a_column_without_a_training_value_is_constant_under_median(tmp_path: Path) -> None:
    """A column without a training value has no median: 0 is imputed, and the feature is constant."""
    dataset = prepared(tmp_path, make_table().assign(age=np.nan), data='missing = "median"')
    assert (dataset.imputed[3], dataset.constant[3]) == (0.0, True)


def test_numbers_that_float32_cannot_tell_apart_are_warned_about(tmp_path: Path) -> None:
    """Time stamps in seconds lose their last digits in float32: there is a warning."""
    dataset = prepared(tmp_path, make_table().assign(age=1_600_000_000 + np.arange(60)))
    assert '"age" has 60 different values' in dataset.warnings[-1]


def test_numbers_among_words_by_target_are_warned_about(tmp_path: Path) -> None:
    """Codes may be numbers, so it is no error; words are no reason for a warning."""
    told = prepared(
        tmp_path, make_table(), data='by_target = ["age", "who"]\ncolumns = ["town", "age", "who"]'
    ).warnings
    (warning,) = told
    assert 'column "age" in by_target holds numbers' in warning
    assert "take the column out of by_target" in warning


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("2020-01-31", 'for dates add "age" = "iso" to [data.dates]'),
        ("31.1.2020 13:45", 'for dates add "age" = "%d.%m.%Y %H:%M" to [data.dates]'),
        ("03/04/2020", 'add "age" = "%m/%d/%Y" or "age" = "%d/%m/%Y" to'),
        ("old", "for words add the column to [data.categories], with its words, or to [data] by_target"),
        ("NaT", "for words add the column"),
    ],
)
def test_an_input_that_is_no_number_is_told_its_key(tmp_path: Path, cell: str, wanted: str) -> None:
    """The recipe has a key for dates and two for words."""
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, make_table().assign(age=cell))
    assert wanted in str(caught.value)


def test_a_column_of_dates_with_a_bad_cell_is_told_the_cell(tmp_path: Path) -> None:
    """The key of most cells, and a cell that it cannot read."""
    frame = make_table()
    days = [f"2020-01-{1 + row % 28:02}" for row in range(len(frame))]
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, frame.assign(age=["not known", *days[1:]]))
    wanted = 'for dates add "age" = "iso" to [data.dates], and empty or correct cells such as "not known"'
    assert wanted in str(caught.value)


def test_time_and_group_splits_go_by_their_column(tmp_path: Path) -> None:
    """Days run backwards in the table: the first rows test. A group is on one side only."""
    frame = make_table()
    by_time = prepared(tmp_path, frame, split='kind = "time"\ncolumn = "day"')
    assert by_time.test.tolist() == list(range(11, -1, -1))
    by_group = prepared(tmp_path, frame, split='kind = "group"\ncolumn = "who"')
    assert not set(frame["who"][by_group.train]) & set(frame["who"][by_group.test])


@pytest.mark.parametrize(
    "spellings",
    [
        ["2020-01-{:02}T22:30:00Z", "2020-01-{:02}T23:30:00+01:00", "2020-01-{:02}T17:30:00-05:00"],
        ["2020-01-{:02}", "2020-01-{:02}T00:00:00", "2020-01-{:02} 00:00:00+00:00"],
        ["{:02}.01.2020"],
        ["{}", "{}.0", "0{}e0"],
    ],
)
def test_one_time_is_in_one_part_however_it_is_spelled(tmp_path: Path, spellings: list[str]) -> None:
    """Time zones, dates without an hour, numbers: rows of one moment stay together; no zone means UTC."""
    moments = np.arange(60) // 7 + 1
    frame = make_table().assign(day=[spellings[row % len(spellings)].format(day) for row, day in enumerate(moments)])
    dataset = prepared(tmp_path, frame, split='kind = "time"\ncolumn = "day"')
    parts = [set(moments[rows].tolist()) for rows in (dataset.train, dataset.validation, dataset.test)]
    assert max(parts[0]) < min(parts[1]) <= max(parts[1]) < min(parts[2])


def test_rows_without_a_time_are_refused_or_dropped(tmp_path: Path) -> None:
    """An empty cell, and NaT as pandas writes a missing date as text, are no time; a row without one is in no part."""
    frame = make_table()
    frame.loc[6, "day"], frame.loc[7, "day"] = None, "NaT"
    with pytest.raises(DataError, match=r'"day".* 2 cells .*row 7'):
        prepared(tmp_path, frame, split='kind = "time"\ncolumn = "day"')
    dataset = prepared(tmp_path, frame, data='missing = "drop_rows"', split='kind = "time"\ncolumn = "day"')
    assert dataset.dropped_rows == 2
    assert [len(rows) for rows in (dataset.train, dataset.validation, dataset.test)] == [37, 9, 12]


def test_a_space_makes_no_other_group(tmp_path: Path) -> None:
    """A group name with a trailing space is the same group, so its rows are all in one part."""
    who = np.arange(60) // 4
    frame = make_table().assign(who=[f"c{group}{' ' * (row % 3)}" for row, group in enumerate(who)])
    dataset = prepared(tmp_path, frame, split='kind = "group"\ncolumn = "who"')
    parts = [set(who[rows].tolist()) for rows in (dataset.train, dataset.validation, dataset.test)]
    assert sum(map(len, parts)) == 15


def test_few_times_are_refused_and_uneven_ones_told(tmp_path: Path) -> None:
    """Two days cannot be three parts; of three days with 54, 3 and 3 rows the sizes of the parts are a warning."""
    with pytest.raises(DataError, match='"day" holds 2 '):
        prepared(tmp_path, make_table().assign(day=np.arange(60) % 2), split='kind = "time"\ncolumn = "day"')
    for kind in ("time", "group"):
        frame = make_table().assign(day=[1] * 54 + [2] * 3 + [3] * 3)
        (warning,) = prepared(tmp_path, frame, split=f'kind = "{kind}"\ncolumn = "day"').warnings
        assert re.findall(r"\d+", warning) == ["54", "3", "3", "39", "9", "12"]


def test_a_seed_repeats_everything(tmp_path: Path) -> None:
    """Same table, same recipe: same rows and fingerprint; another cell, another fingerprint."""
    frame = make_table()
    first, second = prepared(tmp_path, frame), prepared(tmp_path, frame)
    np.testing.assert_array_equal(first.test, second.test)
    assert first.fingerprint == second.fingerprint
    frame.loc[0, "age"] = 1
    assert prepared(tmp_path, frame).fingerprint != first.fingerprint


def test_held_out_rows_read_back_as_they_were(tmp_path: Path) -> None:
    """Written as CSV and read as a client would, the test rows are the matrix again, to the bit of float32."""
    frame = make_table().assign(age=np.random.default_rng(1).normal(size=60) / 3)
    frame.loc[::7, "age"] = np.nan
    dataset = prepared(tmp_path, frame, target="kind", task="classification", data='missing = "median"')
    read = pd.read_csv(io.StringIO(held_out_table(dataset).to_csv(index=False)))
    assert list(read.columns) == ["town", "age", "kind"]
    assert read["town"].tolist() == frame["town"][dataset.test].tolist()
    assert read["kind"].tolist() == frame["kind"][dataset.test].tolist()
    np.testing.assert_array_equal(read["age"].to_numpy().astype(np.float32), dataset.x[dataset.test, 3])


@pytest.mark.parametrize(
    ("column", "row", "cell", "wanted"),
    [
        ("age", 4, "old", 't.csv: column "age": row 5 (line 6) holds "old"'),
        ("age", 4, "inf", "row 5 (line 6) holds inf"),
        ("age", 4, "", 'column "age": 1 cell is missing, in row 5 (line 6)'),
        ("town", 9, "Rom", 'column "town": row 10 (line 11) holds "Rom"'),
        ("town", 9, "", 'column "town": 1 cell is missing, in row 10 (line 11)'),
        ("price", 0, "", 'column "price": the target: 1 cell is missing, in row 1 (line 2)'),
        ("price", 0, "-inf", 'column "price": row 1 (line 2) holds -inf'),
        ("day", 2, "soon", 'column "day": row 3 (line 4) holds "soon"'),
        ("day", 2, "", 'column "day": [split] column: 1 cell is missing, in row 3 (line 4)'),
    ],
)
def test_a_cell_at_fault_is_named_with_column_and_row(
    tmp_path: Path, column: str, row: int, cell: str, wanted: str
) -> None:
    """One message with the column, the row and its line in the file.

    This table is the one place that pins these messages.
    """
    frame = make_table().astype(object)
    frame.loc[row, column] = cell
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, frame, split='kind = "time"\ncolumn = "day"')
    assert wanted in str(caught.value)


def test_other_words_are_zeros_and_are_kept_for_the_held_out_rows(tmp_path: Path) -> None:
    """Rare, missing and odd words have no input of their own; the file of the held-out rows has them as they were."""
    frame = make_table().astype({"town": object})
    frame.loc[::4, "town"] = 'Rom, "Italia"\nx'
    frame.loc[1::4, "town"] = None
    dataset = prepared(tmp_path, frame, data='unseen = "other"')
    known = frame["town"].isin(["Bonn", "Köln", "Ulm"]).to_numpy()
    for rows in (dataset.validation, dataset.test):
        np.testing.assert_array_equal(dataset.x[rows, :3].sum(axis=1) == 1, known[rows])
    assert (dataset.x[dataset.train, :3].sum(axis=1) == 1).sum() < known[dataset.train].sum()
    assert not np.isnan(dataset.x).any()
    assert held_out_table(dataset)["town"].tolist() == frame["town"].fillna("")[dataset.test].tolist()


def test_without_the_key_features_and_fingerprint_stay(tmp_path: Path) -> None:
    """The key changes training rows alone: validation and test rows are the same to the bit."""
    refusing, other = (prepared(tmp_path, make_table(), data=f'unseen = "{mode}"') for mode in ("refuse", "other"))
    assert refusing.fingerprint == prepared(tmp_path, make_table()).fingerprint != other.fingerprint
    rest = np.concatenate([refusing.validation, refusing.test])
    np.testing.assert_array_equal(refusing.x[rest], other.x[rest])
    assert refusing.features == other.features
    assert refusing.constant == other.constant


def test_missing_words_have_no_median(tmp_path: Path) -> None:
    """Under median a missing word needs the empty word in the recipe; the message says so."""
    frame = make_table()
    frame.loc[4, "town"] = None
    with pytest.raises(DataError, match='empty word ""'):
        prepared(tmp_path, frame, data='missing = "median"')


def test_targets_without_anything_to_learn_are_refused(tmp_path: Path) -> None:
    """Constant, all different, or constant where it trains."""
    frame = make_table()
    with pytest.raises(DataError, match=r'"price": .*same in every'):
        prepared(tmp_path, frame.assign(price=1.5))
    with pytest.raises(DataError, match='"yes" in every row'):
        prepared(tmp_path, frame.assign(kind="yes"), target="kind", task="classification")
    with pytest.raises(DataError, match="class of its own"):
        prepared(tmp_path, frame.assign(kind=[f"k{i}" for i in range(60)]), target="kind", task="classification")
    with pytest.raises(DataError, match="every training row"):
        prepared(tmp_path, frame.assign(price=[2.0] * 12 + [1.0] * 48), split='kind = "time"\ncolumn = "day"')


def test_columns_that_do_not_exist_are_answered_with_the_nearest(tmp_path: Path) -> None:
    """Target, input and the column of the split alike."""
    frame = make_table()
    with pytest.raises(DataError, match=r'"prices" .*nearest is "price"'):
        prepared(tmp_path, frame, target="prices")
    with pytest.raises(DataError, match='no column "age"'):
        prepared(tmp_path, frame.drop(columns="age"))
    with pytest.raises(DataError, match=r'"days" .*nearest is "day"'):
        prepared(tmp_path, frame, split='kind = "time"\ncolumn = "days"')


def test_tables_too_small_or_all_gaps_are_refused(tmp_path: Path) -> None:
    """Nine rows, and no row left."""
    with pytest.raises(DataError, match="9 rows"):
        prepared(tmp_path, make_table(9))
    with pytest.raises(DataError, match="drop_rows leaves no row"):
        prepared(tmp_path, make_table().assign(age=np.nan), data='missing = "drop_rows"')
    frame = make_table()
    frame.loc[0, "kind"] = "rare"
    with pytest.raises(DataError, match='"rare" has 1 row;'):
        prepared(tmp_path, frame, target="kind", task="classification", split='kind = "stratified"')


def test_a_class_that_never_trains_is_warned_about(tmp_path: Path) -> None:
    """If a rare class is in the test rows only, training continues with a warning."""
    frame = make_table()
    frame.loc[0, "kind"] = "rare"
    dataset = prepared(tmp_path, frame, target="kind", task="classification", split='kind = "time"\ncolumn = "day"')
    (warning,) = dataset.warnings
    assert "1 of 3 classes" in warning
    assert '"rare"' in warning


def test_digits_are_scikit_learns() -> None:
    """64 inputs under scikit-learn's names, ten classes in every part, the three constant pixels marked."""
    dataset = prepare(load_recipe(RECIPES / "digits.toml"))
    bundle = datasets.load_digits()
    np.testing.assert_array_equal(dataset.x, bundle.data)
    np.testing.assert_array_equal(dataset.y, bundle.target)
    assert [feature.name for feature in dataset.features] == bundle.feature_names
    assert dataset.classes == tuple("0123456789")
    assert {feature.name for feature, same in zip(dataset.features, dataset.constant, strict=True) if same} >= {
        "pixel_0_0",
        "pixel_4_0",
        "pixel_4_7",
    }
    assert set(dataset.y[dataset.test]) == set(range(10))
    assert len(dataset.test) == pytest.approx(0.2 * 1797, abs=5)


def test_diabetes_is_in_the_units_of_the_clinic() -> None:
    """Ten raw measurements, as a client would send them, not scikit-learn's scaled ones."""
    dataset = prepare(load_recipe(RECIPES / "diabetes.toml"))
    assert dataset.x.shape == (442, 10)
    assert 18 < np.median(dataset.x[:, 0]) < 90
    np.testing.assert_array_equal(dataset.y[:, 0], datasets.load_diabetes().target)


def test_the_toy_is_its_formula() -> None:
    """The target is exact at the float32 point that the service will be asked about."""
    dataset = prepare(load_recipe(RECIPES / "toy.toml"))
    x, y = dataset.x.T
    assert (dataset.x.shape, np.abs(dataset.x).max() <= 1.0) == ((1000, 2), True)
    np.testing.assert_allclose(dataset.y[:, 0], np.exp(np.sin(np.pi * x) + y**2), rtol=1e-14)
