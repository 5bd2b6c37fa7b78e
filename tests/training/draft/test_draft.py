"""A drafted recipe runs unchanged on the table it was drafted for."""

import csv
import os
import re
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sklearn import datasets

from training.data.dataset import prepare
from training.data.encoding import feature_block
from training.data.table import read_table
from training.draft.draft import columns_left_out, draft_recipe, render
from training.draft.inspection import inspect
from training.draft.proposal import propose_for
from training.draft.recipe_file import write_recipe
from training.errors import DataError, RecipeError
from training.pipelines.held_out import held_out_table
from training.recipe.config import Recipe, load_recipe, parse_recipe


def drafted(folder: Path, frame: pd.DataFrame, target: str, name: str = "t.csv") -> Recipe:
    """The recipe drafted for the table, written and read again."""
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    recipe = path.with_suffix(".toml")
    recipe.unlink(missing_ok=True)
    write_recipe(recipe, draft_recipe(inspect(path, target), folder))
    return load_recipe(recipe)


def shop(rows: int = 200) -> pd.DataFrame:
    """A table as a shop would have it."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "order_id": range(1000, 1000 + rows),
            "age": generator.integers(18, 90, rows).astype(float),
            "town": generator.choice(["Ulm", "Bonn"], rows),
            "note": [f"note {row}" for row in range(rows)],
            "member": generator.choice([True, False], rows),
            "paid": generator.normal(50.0, 5.0, rows),
            "returned": generator.choice(["yes", "no"], rows),
        }
    )


def test_a_shops_table_becomes_a_recipe_that_says_why(tmp_path: Path) -> None:
    """Numbers, words and truth are inputs in file order; ids and free text are left out with a reason."""
    recipe = drafted(tmp_path, shop(), "returned")
    assert recipe.data.columns == ("age", "town", "member", "paid")
    assert recipe.data.categories == {"town": ("Bonn", "Ulm"), "member": ("False", "True")}
    assert (recipe.task.kind, recipe.split.kind, recipe.data.missing) == ("classification", "stratified", "indicator")
    assert '#   "order_id": an id by its name' in recipe.text
    assert '#   "note": text, 200 different ones in 200 rows' in recipe.text
    assert '"age",  # whole numbers, 18 to 89' in recipe.text
    assert 'kind = "classification"  # the target holds words, 2 different ones' in recipe.text
    assert prepare(recipe).x.shape == (200, 6)
    assert recipe.baseline is not None
    assert recipe.baseline.kinds == ("trivial", "linear", "boosted")


@pytest.mark.parametrize("kind", [{}, {"formula": True}, {"additive": True}])
def test_the_policy_on_unknown_ground_is_one_comment_sign_away(tmp_path: Path, kind: dict[str, Any]) -> None:
    """A draft answers such rows, and names the key that changes it where the key belongs."""
    shop().to_csv(tmp_path / "t.csv", index=False)
    text = draft_recipe(inspect(tmp_path / "t.csv", "paid"), tmp_path, **kind)
    for recipe, policy in ((text, "answer"), (text.replace("# unknown_ground", "unknown_ground"), "flag")):
        assert parse_recipe(recipe, folder=tmp_path, name="t").model.unknown_ground == policy


def test_answers_of_a_log_target_tell_of_unknown_ground(tmp_path: Path) -> None:
    """Exp makes them very large far outside of the training rows, so drafts ask for the warning unless additive."""
    x = np.random.default_rng(0).uniform(0, 5, 100)
    for target, policy in ((np.exp(2 * x), "flag"), (x**2 + 1, "answer")):
        pd.DataFrame({"x": x, "y": target}).to_csv(tmp_path / "t.csv", index=False)
        recipe = parse_recipe(draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path), folder=tmp_path, name="t")
        assert (recipe.task.target_scale == "log") is (policy == "flag")
        assert recipe.model.unknown_ground == policy
        curves = draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path, additive=True)
        assert parse_recipe(curves, folder=tmp_path, name="t").model.unknown_ground == "answer"


def test_parquet_and_csv_of_one_table_draft_the_same(tmp_path: Path) -> None:
    """The kind of file makes no difference to what is learned."""
    from_csv = drafted(tmp_path, shop(), "paid")
    from_parquet = drafted(tmp_path, shop(), "paid", "t.parquet")
    assert prepare(from_csv).fingerprint == prepare(from_parquet).fingerprint


def test_a_column_of_lists_is_left_out(tmp_path: Path) -> None:
    """Its rows can be fitted without it; the reason names a row, and one who asks for it is refused. It is no group."""
    frame = shop().assign(tags=pd.Series([["a", "b"], ["a"]] * 100), order_id=pd.Series([[1], [2], [3], [4]] * 50))
    recipe = drafted(tmp_path, frame, "paid", "t.parquet")
    assert prepare(recipe).fingerprint == prepare(drafted(tmp_path, shop(), "paid")).fingerprint
    assert any(
        "row 1 holds more than one value" in line for line in columns_left_out(inspect(tmp_path / "t.parquet", "paid"))
    )
    with pytest.raises(DataError, match='column "tags": row 1 holds'):
        inspect(tmp_path / "t.parquet", "tags")
    splits = propose_for(inspect(tmp_path / "t.parquet", "paid"), "regression", ("age",)).splits
    assert "order_id" not in [split.column for split in splits]


def test_dates_in_order_split_by_time(tmp_path: Path) -> None:
    """Rows in order of a date: the past predicts. The date is an input too, in any order of the rows."""
    frame = shop().assign(day=pd.date_range("2020-01-01", periods=200).astype(str))
    recipe = drafted(tmp_path, frame, "paid")
    assert (recipe.split.kind, recipe.split.column) == ("time", "day")
    shuffled = drafted(tmp_path, frame.sample(frac=1.0, random_state=0), "paid")
    assert shuffled.split.kind == "random"
    for each in (recipe, shuffled):
        assert each.data.dates == {"day": "iso"}
        names = [feature.name for feature in prepare(each).features if feature.column == "day"]
        assert names == ["day: days", "day: month", "day: weekday"]


@pytest.mark.parametrize(
    "form", ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%d %b %Y", "%Y/%m/%d %H:%M:%S", "%d-%b-%Y"]
)
def test_the_format_of_dates_is_found(tmp_path: Path, form: str) -> None:
    """Where some day is beyond 12, day and month cannot be mixed up."""
    day = pd.date_range("2020-01-01", periods=200).strftime(form)
    recipe = drafted(tmp_path, shop().assign(day=day), "paid")
    assert recipe.data.dates == {"day": form}


@pytest.mark.parametrize("kind", ["t.csv", "t.parquet"])
def test_dates_written_as_numbers_are_dates(tmp_path: Path, kind: str) -> None:
    """20240131 is ISO 8601's short form, prepared the same as 2024-01-31. Other numbers of eight digits are none."""
    day = pd.date_range("2023-12-01", periods=200)
    as_numbers = shop().assign(day=day.strftime("%Y%m%d").astype(int), code=20240000 + np.arange(200) * 7 % 190)
    recipe = drafted(tmp_path, as_numbers, "paid", kind)
    assert recipe.data.dates == {"day": "iso"}
    assert "code" in recipe.data.columns
    plain = drafted(tmp_path, as_numbers.assign(day=day.strftime("%Y-%m-%d")), "paid", kind)
    assert prepare(recipe).fingerprint == prepare(plain).fingerprint


def test_hours_stay_with_their_dates(tmp_path: Path) -> None:
    """The time of the day is a fraction of a day."""
    day = pd.date_range("2024-01-31 13:45", periods=200, freq="7h").strftime("%Y-%m-%d %H:%M")
    recipe = drafted(tmp_path, shop().assign(day=day), "paid")
    assert recipe.data.dates == {"day": "iso"}
    days = prepare(recipe).x[:, [feature.name for feature in prepare(recipe).features].index("day: days")]
    np.testing.assert_allclose(days - days[0], np.arange(200) * 7 / 24, atol=1e-4)


@pytest.mark.parametrize(
    ("cell", "wanted"), [("soon", 'row 151 (line 152) holds "soon"'), ("2020-13-01", 'holds "2020-13-01"')]
)
def test_a_column_with_one_bad_date_is_left_out_with_the_row(tmp_path: Path, cell: str, wanted: str) -> None:
    """The reason names the row, so that a person can mend it."""
    day = pd.date_range("2020-01-01", periods=200).astype(str).to_numpy().astype(object)
    day[150] = cell
    recipe = drafted(tmp_path, shop().assign(day=day), "paid")
    assert "day" not in recipe.data.columns
    assert wanted in recipe.text


def test_dates_that_may_be_day_or_month_first_are_left_out(tmp_path: Path) -> None:
    """With no day beyond 12 nobody knows."""
    day = [f"{1 + row % 12:02}/{1 + row % 11:02}/2020" for row in range(200)]
    recipe = drafted(tmp_path, shop().assign(day=day), "paid")
    assert "day" not in recipe.data.columns
    assert "may be day or month first" in recipe.text


@pytest.mark.parametrize(
    ("rows_of_a_day", "kind"),
    [([20] * 10, "time"), ([1] * 9 + [191], "random"), ([191] + [1] * 9, "random"), ([50, 20] + [5] * 26, "time")],
)
def test_a_time_split_is_proposed_where_its_parts_have_their_rows(
    tmp_path: Path, rows_of_a_day: list[int], kind: str
) -> None:
    """A time split is proposed if each part gets at least half of its share with days kept whole."""
    day = np.repeat(pd.date_range("2020-01-01", periods=len(rows_of_a_day)).astype(str), rows_of_a_day)
    frame = shop().assign(day=day)
    recipe = drafted(tmp_path, frame, "paid")
    assert recipe.split.kind == kind
    if kind == "time":
        dataset = prepare(recipe)
        parts = [day[rows] for rows in (dataset.train, dataset.validation, dataset.test)]
        assert max(parts[0]) < min(parts[1]) <= max(parts[1]) < min(parts[2])
        assert all(2 * len(part) >= wanted for part, wanted in zip(parts, (130, 30, 40), strict=True))


def test_two_time_zones_are_not_twice_the_dates(tmp_path: Path) -> None:
    """Nine moments, each spelled in two zones, are nine: too few to propose a time split."""
    zones = ["2020-01-{:02}T22:00:00+00:00", "2020-01-{:02}T23:00:00+01:00"]
    day = [zones[row % 2].format(row * 9 // 200 + 1) for row in range(200)]
    assert drafted(tmp_path, shop().assign(day=day), "paid").split.kind == "random"


@pytest.mark.parametrize("name", ["customer_id", "customerId", "ID", "user uuid"])
def test_ids_that_repeat_split_by_group(tmp_path: Path, name: str) -> None:
    """Rows of one customer stay together."""
    frame = shop().assign(**{name: np.arange(200) // 5})
    recipe = drafted(tmp_path, frame, "returned")
    assert (recipe.split.kind, recipe.split.column) == ("group", name)


@pytest.mark.parametrize("gaps", [0, 4, 150])
def test_gaps_cost_no_row(tmp_path: Path, gaps: int) -> None:
    """However many rows miss a cell, all of them train, and a gap is imputed in every column of numbers."""
    frame = shop().astype({"town": object})
    frame.loc[: gaps - 1, "age"] = np.nan
    frame.loc[: gaps // 2 - 1, "town"] = None
    recipe = drafted(tmp_path, frame, "paid")
    assert recipe.data.missing == "indicator"
    assert recipe.data.categories["town"] == ("", "Bonn", "Ulm")[not gaps :]
    assert (f"{gaps} of 200 rows" if gaps else "no cell is missing") in recipe.text
    dataset = prepare(recipe)
    assert dataset.dropped_rows == 0
    assert dataset.imputed[0] is not None
    assert dataset.gaps == ((0,) if gaps else ())


def test_rare_words_are_pooled_and_unseen_words_are_answered(tmp_path: Path) -> None:
    """A word of fewer than five rows has no input of its own; the comment names it. Without words there is no key."""
    frame = shop().astype({"town": object})
    frame.loc[:3, "town"] = 'Rom, "Italia"\nx'
    frame.loc[5:9, "town"] = "Oslo"
    recipe = drafted(tmp_path, frame, "paid")
    assert (recipe.data.unseen, recipe.data.categories["town"]) == ("other", ("Bonn", "Oslo", "Ulm"))
    assert '# other: "Rom, \\"Italia\\"\\nx", in fewer than 5 rows' in recipe.text
    assert prepare(recipe).dropped_rows == 0
    numbers = drafted(tmp_path, shop()[["age", "paid"]], "paid")
    assert "unseen" not in numbers.text


def test_a_column_of_rare_words_alone_keeps_them(tmp_path: Path) -> None:
    """With a few rows of each word there is nothing to pool them with."""
    frame = shop(20).assign(town=[f"town {row // 4}" for row in range(20)])
    assert len(drafted(tmp_path, frame, "paid").data.categories["town"]) == 5


def test_gaps_in_the_target_drop_their_rows_alone(tmp_path: Path) -> None:
    """A row without a target cannot be learned from; a column that half of the rows lack stays an input."""
    frame = shop()
    frame.loc[:9, "paid"] = np.nan
    frame.loc[100:, "age"] = np.nan
    recipe = drafted(tmp_path, frame, "paid")
    assert "age" in recipe.data.columns
    assert "10 rows without a target" in recipe.text
    assert prepare(recipe).dropped_rows == 10


def test_a_rare_class_is_split_by_chance(tmp_path: Path) -> None:
    """One row of a class cannot be in three parts: the recipe runs all the same and says why."""
    frame = shop()
    frame.loc[0, "returned"] = "lost"
    recipe = drafted(tmp_path, frame, "returned")
    assert recipe.split.kind == "random"
    assert "fewer than the 3 rows" in recipe.text


@pytest.mark.parametrize(("target", "inputs"), [("paid", 1), ("returned", 1), ("size", 2)])
def test_columns_of_many_words_enter_by_the_target(tmp_path: Path, target: str, inputs: int) -> None:
    """One number, or one for each class but the first; the recipe runs and says why."""
    frame = shop().assign(street=[f"street, {row % 40}" for row in range(200)], size=[*"SML" * 66, *"SM"])
    recipe = drafted(tmp_path, frame, target)
    assert recipe.data.by_target == ("street",)
    assert '"street",  # text, 40 different ones' in recipe.text
    assert sum(feature.column == "street" for feature in prepare(recipe).features) == inputs


def test_shuffled_row_numbers_are_an_input_if_there_is_no_other(tmp_path: Path) -> None:
    """As with a counter in order: better than no input."""
    frame = pd.DataFrame({"x": np.random.default_rng(0).permutation(50)})
    assert drafted(tmp_path, frame.assign(y=np.sin(frame["x"])), "y").data.columns == ("x",)


def test_constant_columns_stay_and_a_lone_counter_is_an_input(tmp_path: Path) -> None:
    """A constant is kept with a comment; a column in order is not left out where nothing else is there."""
    constant = drafted(tmp_path, shop().assign(shop_number=7), "paid")
    assert '"shop_number",  # always 7: useless, gets weight zero' in constant.text
    assert "shop_number" in prepare(constant).warnings[0]
    line = drafted(tmp_path, pd.DataFrame({"x": range(50), "y": np.sin(np.arange(50.0))}), "y")
    assert line.data.columns == ("x",)


@pytest.mark.parametrize("bundle", [datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer])
def test_scikit_learns_tables_are_classifications(tmp_path: Path, bundle: Any) -> None:
    """Whole numbers of few kinds are classes."""
    recipe = drafted(tmp_path, bundle(as_frame=True).frame, "target")
    assert (recipe.task.kind, recipe.split.kind) == ("classification", "stratified")
    assert prepare(recipe).x.shape[1] == len(bundle().feature_names)


def test_whole_numbers_of_many_kinds_are_a_regression(tmp_path: Path) -> None:
    """214 different values in 442 rows are no classes."""
    assert drafted(tmp_path, datasets.load_diabetes(as_frame=True).frame, "target").task.kind == "regression"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ([None] * 40, "missing in every row"),
        ([3] * 40, "same in every row"),
        ([f"text {row}" for row in range(40)], "each of them once"),
        (pd.date_range("2020-01-01", periods=40).astype(str), "the target holds dates"),
        ([str(row) for row in range(39)] + ["oops"], 'holds "oops"'),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(tmp_path: Path, target: Any, wanted: str) -> None:
    """One message, and no recipe."""
    with pytest.raises(DataError) as caught:
        drafted(tmp_path, shop(40).assign(y=target), "y")
    assert wanted in str(caught.value)
    assert not (tmp_path / "t.toml").exists()


def test_tables_too_small_are_refused(tmp_path: Path) -> None:
    """One row, and a target without inputs."""
    with pytest.raises(DataError, match="no column is left"):
        drafted(tmp_path, shop()[["paid"]], "paid")
    with pytest.raises(DataError, match="1 row to train on; wanted at least 10"):
        drafted(tmp_path, shop(1), "paid")
    with pytest.raises(DataError, match=r"t\.csv: 5 rows"):
        drafted(tmp_path, shop(5), "paid")


def test_thousands_of_columns_are_drafted(tmp_path: Path) -> None:
    """A table with thousands of columns gets a recipe."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3000)), columns=[f"c{i}" for i in range(3000)])
    assert prepare(drafted(tmp_path, frame, "c7")).x.shape == (40, 2999)


@pytest.mark.parametrize("name", ["my data.csv", "-x.csv", "...csv", "Äpfel.csv", "a" * 120 + ".csv"])
def test_any_file_name_gives_a_model_name(tmp_path: Path, name: str) -> None:
    """The model's name is safe as a folder's, whatever the file is called."""
    assert drafted(tmp_path, shop(), "paid", name).model.name[0] not in ".-"


def test_the_table_may_lie_elsewhere(tmp_path: Path) -> None:
    """The recipe is written where the user stands and still finds the table."""
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    shop().to_csv(tmp_path / "data" / "t.csv", index=False)
    write_recipe(
        tmp_path / "work" / "t.toml", draft_recipe(inspect(tmp_path / "data" / "t.csv", "paid"), tmp_path / "work")
    )
    recipe = load_recipe(tmp_path / "work" / "t.toml")
    assert 'path = "../data/t.csv"' in recipe.text
    assert prepare(recipe).source == "t.csv"


def test_a_recipe_is_replaced_whole_if_asked(tmp_path: Path) -> None:
    """Nothing is left beside it; a folder is not replaced."""
    path = tmp_path / "t.toml"
    for text in ("mine", "yours"):
        write_recipe(path, text, replace=True)
        assert path.read_text() == text
    assert os.listdir(tmp_path) == ["t.toml"]
    assert path.stat().st_mode & 0o777 == 0o644
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError, match="cannot write it"):
        write_recipe(tmp_path / "folder", "x", replace=True)
    assert sorted(os.listdir(tmp_path)) == ["folder", "t.toml"]


def test_a_recipe_is_never_overwritten_unasked(tmp_path: Path) -> None:
    """The file that is there stays as it is, and nothing half-written is left beside it."""
    path = tmp_path / "t.toml"
    write_recipe(path, "mine")
    with pytest.raises(RecipeError, match="exists already"):
        write_recipe(path, "yours")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["t.toml"]
    with pytest.raises(RecipeError, match="cannot write it"):
        write_recipe(tmp_path / "none" / "t.toml", "x")


NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(alphabet="\"'\\.\n\r\t =#[]{}é漢\x00\x7f\u2028", min_size=1, max_size=8),
    st.text(alphabet=string.ascii_letters + "_ ", min_size=1, max_size=8).map(lambda name: name + "_id"),
)
CELLS = st.one_of(
    st.floats(width=32),
    st.floats().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.booleans().map(str),
    st.dates().map(str),
    st.sampled_from(["", "NA", "None", "?", "a", "b", " c", '"', "1,5", "x\ny", "é", "nan", "inf"]),
    st.text(max_size=6),
)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Any table that CSV can hold: odd names, mixed cells, gaps; columns of few or many different cells."""
    names = [*draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)), draw(NAMES) + "!"]
    rows = draw(st.sampled_from([1, 2, 9, 10, 11, 25, 60]))
    columns = {}
    for name in names:
        pool = draw(
            st.one_of(
                st.lists(CELLS, min_size=1, max_size=6),
                st.lists(st.floats(-1e6, 1e6, width=32), min_size=5, max_size=40),
                st.lists(st.sampled_from(["red", "green", "", "blue"]), min_size=2, max_size=4),
            )
        )
        picks = draw(st.lists(st.integers(0, len(pool) - 1), min_size=rows, max_size=rows))
        columns[name] = [str(pool[pick]) for pick in picks]
    return pd.DataFrame(columns, dtype=object)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame=tables())
def test_any_table_gives_a_recipe_that_runs_or_one_clear_error(frame: pd.DataFrame) -> None:
    """Draft, load, prepare, held-out rows and back: either all work, or the first says why not."""
    target = str(frame.columns[-1])
    with tempfile.TemporaryDirectory() as folder:
        try:
            recipe = drafted(Path(folder), frame, target)
        except DataError:
            event("refused")
            return
        event(f"runs: {recipe.task.kind}, {recipe.data.missing}")
        dataset = prepare(recipe)
        assert len(dataset.x) + dataset.dropped_rows == len(frame)
        # pandas leaves a lone carriage return unquoted by default, which ends the line.
        rows = held_out_table(dataset)
        rows.to_csv(Path(folder) / "held_out.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
        table = read_table(Path(folder) / "held_out.csv")
        blocks = [feature_block(table, column) for column in dataset.columns]
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), dataset.x[dataset.test])


def test_columns_that_float32_cannot_tell_apart_are_left_out(tmp_path: Path) -> None:
    """A column of time stamps in seconds is left out with a comment, and the recipe runs."""
    table = pd.DataFrame({"x": np.linspace(0, 1, 60) ** 2, "ts": 1.7e9 + np.random.default_rng(0).permutation(60)})
    table["y"] = table["x"] * 3 + 1
    table.to_csv(tmp_path / "t.csv", index=False)
    text = draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path)
    assert '#   "ts": it holds values that span 59' in text
    assert prepare(parse_recipe(text, folder=tmp_path, name="t")).features[0].name == "x"


def test_a_table_with_decimal_commas_gets_a_recipe_that_reads_them(tmp_path: Path) -> None:
    """The recipe is that of the same table with points, but for its key; the rows that it prepares are the same."""
    lines = [f"{i},5E-02;{i * 2},25;{i % 7};{i * i}" for i in range(70)]
    (tmp_path / "t.csv").write_text("\n".join(["x;price;n;square", *lines]))
    text = draft_recipe(inspect(tmp_path / "t.csv", "price"), tmp_path)
    recipe = parse_recipe(text, folder=tmp_path, name="t")
    assert recipe.data.decimal == ","
    found = prepare(recipe)
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace(",", "."))
    with_points = draft_recipe(inspect(tmp_path / "t.csv", "price"), tmp_path)
    assert with_points == "".join(line for line in text.splitlines(keepends=True) if not line.startswith("decimal"))
    wanted = prepare(parse_recipe(with_points, folder=tmp_path, name="t"))
    np.testing.assert_array_equal(found.x, wanted.x)
    np.testing.assert_array_equal(found.y, wanted.y)


def test_decimal_commas_that_may_be_thousands_are_named(tmp_path: Path) -> None:
    """Numbers with commas are no words: the target is refused, an input left out, both with what to do."""
    lines = [f"{i % 9 + 1},5{i};{i % 7},{i + 100};{i * i};{i % 5}" for i in range(10, 80)]
    (tmp_path / "t.csv").write_text("\n".join(["x;price;square;n", *lines]).replace(";0,1", ";1,1"))
    with pytest.raises(DataError, match='the target holds decimal commas, as in "3,110"; --decimal "," reads them'):
        draft_recipe(inspect(tmp_path / "t.csv", "price"), tmp_path)
    assert '#   "x": decimal commas' in draft_recipe(inspect(tmp_path / "t.csv", "square"), tmp_path)
    recipe = parse_recipe(draft_recipe(inspect(tmp_path / "t.csv", "price", ","), tmp_path), folder=tmp_path, name="t")
    assert prepare(recipe).y.max() < 8


@pytest.mark.parametrize(
    ("form", "of_cell"),
    [
        (lambda n: f"{n:,}.50", r'row 1 \(line 2\) holds "1,000\.50"'),
        (lambda n: f"{n:,},19".replace(",", ".", 1), r'row 1 \(line 2\) holds "1\.000,19"'),
        (lambda n: f"{n % 1900}.25" if n < 1900 else f"{n:,}.25", r'row 25 \(line 26\) holds "1,912\.25"'),
        (lambda n: f"{n // 500 * 1000:,}.00", r'row 1 \(line 2\) holds "2,000\.00"'),
    ],
    ids=["points", "commas", "a few of many", "few different ones"],
)
def test_marks_between_thousands_are_told_with_the_first_cell(
    tmp_path: Path, form: Callable[[int], str], of_cell: str
) -> None:
    """The column is one of numbers, no text: as the target it is refused, as an input left out, and never read."""
    lines = [f"{i % 9};{form(1000 + 38 * i)};{i * i % 11 / 4}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["x;income;y", *lines]))
    wanted = f"numbers with marks of thousands: {of_cell}; take the marks out"
    with pytest.raises(DataError, match=f'column "income": the target holds {wanted}'):
        draft_recipe(inspect(tmp_path / "t.csv", "income"), tmp_path)
    [line] = columns_left_out(inspect(tmp_path / "t.csv", "y"))
    assert re.fullmatch(f'left out: "income": {wanted}', line)


def test_a_column_of_addresses_with_points_is_none_of_thousands(tmp_path: Path) -> None:
    """192.168.100.101 looks like one number with marks; most of the others do not."""
    lines = [f"192.168.{90 + i % 20}.{90 + i % 16};{i % 5};{i % 7}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["address;x;y", *lines]))
    assert columns_left_out(inspect(tmp_path / "t.csv", "y")) == [
        'left out: "address": text, 80 different ones in 80 rows; too few rows of each to learn from'
    ]


@pytest.mark.parametrize("steps", [5, 40])
def test_a_mostly_whole_column_with_decimal_commas_is_one_of_numbers(tmp_path: Path, steps: int) -> None:
    """Two thirds of its cells are whole, of few values or many; read with points, it is named as what it is.

    The advice to empty such cells would destroy them.
    """
    values = [str(i % steps) + ",5" * (i % 3 == 0) for i in range(120)]
    (tmp_path / "t.csv").write_text(
        "\n".join(["x;n;y", *(f"{i * i};{i % 7};{value}" for i, value in enumerate(values))])
    )
    recipe = parse_recipe(draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path), folder=tmp_path, name="t")
    assert (recipe.task.kind, recipe.data.decimal) == ("regression", ",")
    np.testing.assert_array_equal(
        inspect(tmp_path / "t.csv", "y").table.numbers("y")[0], [float(value.replace(",", ".")) for value in values]
    )
    with pytest.raises(DataError, match=r'the target holds decimal commas, as in "0,5"; --decimal "," reads them'):
        draft_recipe(inspect(tmp_path / "t.csv", "y", "."), tmp_path)
    assert '#   "y": decimal commas' in draft_recipe(inspect(tmp_path / "t.csv", "x", "."), tmp_path)


def test_columns_left_out_are_told_and_of_many_the_first_ten(tmp_path: Path) -> None:
    """One cell that is no number leaves out a whole column, so the terminal lists the first ten columns left out."""
    frame = shop()
    frame.loc[5, "age"] = np.inf
    frame.to_csv(tmp_path / "shop.csv", index=False)
    lines = columns_left_out(inspect(tmp_path / "shop.csv", "paid"))
    assert [line.split(": ")[1] for line in lines] == ['"order_id"', '"age"', '"note"']
    assert "row 6 (line 7) holds inf" in lines[1]
    for place in range(20):
        frame[f"{place}_id"] = range(200)
    frame.to_csv(tmp_path / "shop.csv", index=False)
    lines = columns_left_out(inspect(tmp_path / "shop.csv", "paid"))
    assert len(lines) == 11
    assert lines[-1] == "left out: 13 more, each with its reason in the recipe"


def test_a_person_may_choose_task_and_inputs(tmp_path: Path) -> None:
    """Then ids are inputs too, and numbers a target of classes; only a column that cannot be read is refused."""
    frame = shop().assign(height=["1,5", "2,5"] * 100, member=np.arange(200) % 2)
    frame.to_csv(tmp_path / "t.csv", index=False)
    inspection = inspect(tmp_path / "t.csv", "member")
    proposal = propose_for(inspection, "regression", ("order_id", "note", "age"))
    assert (proposal.task, proposal.left_out) == ("regression", ())
    assert [facts.name for facts in proposal.inputs] == ["order_id", "note", "age"]
    text = render(inspection, proposal, proposal.splits[-1], tmp_path)
    recipe = parse_recipe(text, folder=tmp_path, name="t.toml")
    assert (recipe.data.columns, recipe.data.by_target) == (("order_id", "note", "age"), ("note",))
    with pytest.raises(DataError, match='column "height": decimal commas'):
        propose_for(inspection, "regression", ("age", "height"))


def test_a_recipe_of_curves_runs_as_it_is(tmp_path: Path) -> None:
    """`additive` in place of hidden nodes, ensemble and search; the rest of the draft is the usual one."""
    rows = 60
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"a": generator.normal(size=rows), "town": generator.choice(["Ulm", "Bonn"], rows)})
    table["y"] = table["a"] ** 2 + (table["town"] == "Ulm")
    table.to_csv(tmp_path / "t.csv", index=False)
    text = draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path, additive=True)
    recipe = parse_recipe(text, folder=tmp_path, name="t")
    assert recipe.network.additive
    assert recipe.ensemble is None
    assert recipe.search is None
    assert recipe.data.categories["town"] == ("Bonn", "Ulm")
    assert "pairs" not in text
    with_pairs = draft_recipe(inspect(tmp_path / "t.csv", "y"), tmp_path, additive=True, pairs=1)
    assert parse_recipe(with_pairs, folder=tmp_path, name="t").network.pairs == 1
