"""The recipe: valid keys, and the message for each mistake."""

from importlib import resources
from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe.config import Recipe, load_recipe, parse_recipe

TABLE = """
[model]
name = "house-prices_1.0"
[data]
path = "houses.csv"
target = "price"
columns = ["area", "town"]
[data.categories]
town = ["Ulm", "Bonn"]
[task]
kind = "regression"
"""


CLASSES = TABLE.replace('"regression"', '"classification"')
NO_WORDS = TABLE.replace('[data.categories]\ntown = ["Ulm", "Bonn"]', 'unseen = "other"')
BY_TARGET = TABLE.replace("[data.categories]", "by_target = [{}]\n[data.categories]")
LEVENBERG = TABLE + '[fit]\noptimizer = "levenberg-marquardt"\n'


def parse(text: str) -> Recipe:
    """The recipe parsed as a file in the folder `place`."""
    return parse_recipe(text, folder=Path("place"), name="r.toml")


def test_sections_left_out_have_defaults() -> None:
    """A recipe needs model, data and task only."""
    recipe = parse(TABLE)
    assert (recipe.split.kind, recipe.split.validation, recipe.split.test) == ("random", 0.15, 0.2)
    assert (recipe.fit.optimizer, recipe.fit.batch_rows) == ("adam", 64)
    assert (recipe.network.hidden, recipe.network.degree) == ((32,), 3)
    assert recipe.verify.tolerance == 1e-5
    assert recipe.model.unknown_ground == "answer"
    assert recipe.data.categories == {"town": ("Ulm", "Bonn")}


def test_lbfgs_has_no_batches_and_full_steps() -> None:
    """Defaults of [fit] go with the optimizer."""
    recipe = parse(TABLE + '[fit]\noptimizer = "lbfgs"\ngrids = [3, 5]')
    assert recipe.fit.batch_rows is None
    assert recipe.fit.learning_rate == 1.0
    assert recipe.fit.grids == (3, 5)


def test_levenberg_and_marquardt_take_all_rows() -> None:
    """No batches; grids and steps as for all others; domains that follow the rows have defaults."""
    recipe = parse(LEVENBERG + "grids = [3, 5]\n[adapt]")
    assert recipe.fit.batch_rows is None
    assert recipe.adapt is not None
    assert (recipe.adapt.uniform_share, recipe.adapt.margin) == (0.2, 0.01)
    assert parse(TABLE).adapt is None


def test_paths_count_from_the_recipe(tmp_path: Path) -> None:
    """A relative data path is found from wherever the command runs; the text is kept as written."""
    (tmp_path / "r.toml").write_text(TABLE, encoding="utf-8")
    recipe = load_recipe(tmp_path / "r.toml")
    assert recipe.data.path == tmp_path / "houses.csv"
    assert recipe.text == TABLE


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TABLE + "[fit]\nstep = 3", '[fit] unknown key "step"; did you mean steps?'),
        (TABLE + "[fit]\nhidden = [3]", '[fit] unknown key "hidden"; it belongs in [network]'),
        (TABLE + "[netwrk]\ndegree = 3", 'unknown section or key "netwrk"; did you mean network?'),
        ("text = 'x'\n" + TABLE, 'unknown section or key "text"'),
        (
            TABLE.replace("[data]", 'unknown_ground = "warn"\n[data]', 1),
            '[model] unknown_ground = "warn": wanted "answer", "flag" or "refuse"',
        ),
        ("seed = 1\n" + TABLE, "seed is before the first section; it belongs in [data] or [split] or [fit]"),
        ("fit = 1\n" + TABLE, "[fit] = 1: wanted a table"),
        (TABLE + '[fit]\nsteps = "many"', '[fit] steps = "many": wanted a whole number'),
        (TABLE + "[fit]\nsteps = 2.5", "[fit] steps = 2.5: wanted a whole number"),
        (TABLE + "[fit]\nsteps = 0", "[fit] steps = 0: wanted at least 1"),
        (TABLE + "[fit]\nseed = true", "[fit] seed = true: wanted a whole number"),
        (TABLE + "[fit]\nlearning_rate = inf", "[fit] learning_rate = Infinity: wanted a finite number"),
        (TABLE + "[fit]\ngrids = 5", "[fit] grids = 5: wanted a list"),
        (TABLE + '[fit]\ngrids = [3, "5"]', '[fit] grids, entry 2 = "5": wanted a whole number'),
        (TABLE + "[fit]\ngrids = [5, 3]", "[fit]: grids = [5, 3]: wanted ascending grid sizes"),
        (TABLE + "[fit]\ngrids = []", "[fit]: grids is empty"),
        (TABLE + '[fit]\noptimizer = "sgd"', '[fit] optimizer = "sgd": wanted "adam", "lbfgs" or "levenb'),
        (TABLE + '[fit]\noptimizer = "lbfgs"\nbatch_rows = 8', "[fit]: batch_rows is for adam"),
        (TABLE + '[fit]\noptimizer = "lbfgs"\nweight_decay = 0.1', "[fit]: weight_decay is for adam"),
        (LEVENBERG + "batch_rows = 8", "[fit]: batch_rows is for adam; levenberg-marquardt uses"),
        (LEVENBERG + "weight_decay = 0.1", "[fit]: weight_decay is for adam; levenberg-marquardt"),
        (LEVENBERG + "learning_rate = 1.0", "[fit]: learning_rate is for adam and lbfgs"),
        (LEVENBERG + "[sparsify]", "[sparsify]: not with [fit] optimizer ="),
        (TABLE + "[adapt]\nuniform_share = 1.5", "[adapt] uniform_share = 1.5: wanted at most 1"),
        (TABLE + "[adapt]\nmargin = -0.1", "[adapt] margin = -0.1: wanted at least 0"),
        (TABLE + "[adapt]\nmargins = 0.1", '[adapt] unknown key "margins"; did you mean margin?'),
        (TABLE.replace("[data]", 'continue_from = "models/x/3"\n[data]', 1) + "[adapt]", "[adapt]: not with [model]"),
        (TABLE + "[ensemble]\n[intervals]\ncoverage = 1.0", "[intervals] coverage = 1.0: wanted less than 1"),
        (TABLE + "[ensemble]\n[intervals]\ncoverage = 90", "coverage = 90: wanted less than 1.0, for example 0.9"),
        (CLASSES + "[calibration]\ncoverage = 90", "coverage = 90: wanted less than 1.0, for example 0.9"),
        (TABLE + 'objective = "quantile"\nquantile = 90', "quantile = 90: wanted less than 1.0, for example 0.9"),
        (TABLE + "[ensemble]\n[intervals]\ncoverage = 0.0", "[intervals] coverage = 0.0: wanted more than 0"),
        (CLASSES + "[ensemble]\n[intervals]", 'only with [task] kind = "regression"; of classes see [calibration]'),
        (TABLE + "[intervals]", "[intervals] needs [ensemble]: intervals are made from the answers of members to rows"),
        (TABLE + "[ensemble]\n[prune]\n[intervals]", "[intervals]: not with [prune], which changes the network after"),
        (TABLE + "[ensemble]\n[symbolic]\n[intervals]", "[intervals]: not with [symbolic], which changes the network"),
        (TABLE + "[symbolic]\n[intervals]", "leave one out (of an estimator: coverage or symbolic=True)"),
        (TABLE + "[fit]\ngrids = [3, 5]\n[intervals]", "[intervals]: not with [fit] grids = [3, 5]"),
        (
            TABLE.replace('target = "price"', 'target = ["price", "price_lower"]') + "[ensemble]\n[intervals]",
            '[data] target names "price_lower", and [intervals] gives a bound of "price" this name; wanted another',
        ),
        (
            TABLE + "[fit]\ngrids = [3, 5]\n[ensemble]\n[intervals]",
            "all rows choose where the second grid begins; want",
        ),
        (
            TABLE + "[ensemble]\n[search]\ncandidates = [{ grids = [3, 6] }]\n[intervals]",
            "[intervals]: not with [fit] grids = [3, 6]",
        ),
        (
            TABLE.replace('"regression"', '"regression"\nobjective = "quantile"\nquantile = 0.9')
            + "[ensemble]\n[intervals]",
            '[intervals]: not with [task] objective = "quantile", whose answer is not the middle',
        ),
        (TABLE + "[network]\ndegree = 6", "[network] degree = 6: wanted at most 5"),
        (TABLE + "[network]\nhidden = [0]", "[network] hidden: got a level of 0 nodes; wanted a number of 1 or more"),
        (TABLE + "[network]\nhidden = [[1, -1]]", "[network] hidden: got a level of [1, -1] nodes; wanted"),
        (TABLE + "[network]\nhidden = [[1, 2, 3]]", "[network] hidden: got a level of [1, 2, 3] nodes; wanted"),
        (TABLE + "[network]\nhidden = 3", "[network] hidden: got 3; wanted a list of numbers of nodes, e.g. [16, 8]"),
        (TABLE + "[network]\narity = 9", "[network] arity = 9: wanted at most 8"),
        (TABLE + "[network]\narity = 3", "[network]: arity: only with a level of hidden that multiplies"),
        (
            TABLE + "[[network.convolutions]]\nchannels = 4\nstride = 0",
            "[network] convolutions, entry 1: stride = 0: wanted at least 1",
        ),
        (
            TABLE + "[[network.convolutions]]\nchannels = 4\npading = 1",
            '[network] convolutions, entry 1: unknown key "pading"; did you mean padding?',
        ),
        (TABLE + "[[network.convolutions]]\nstride = 1", "[network] convolutions, entry 1: channels is missing"),
        (
            TABLE + "[network.convolutions]\nchannels = 4",
            "wanted a table for each convolution: [[network.convolutions]] in double brackets",
        ),
        (
            TABLE + "[[network.convolutions]]\nchannels = 4\npool_size = 2",
            'pool_size: only with pool = "average"',
        ),
        (TABLE + '[network]\ninitialization = "he"', '[network] initialization = "he": wanted "paper", "power-law" or'),
        (TABLE + "[split]\ntest = 1.0", "[split] test = 1.0: wanted less than 1"),
        (TABLE + "[split]\ntest = 20", "[split] test = 20: wanted less than 1.0, for example 0.2"),
        (TABLE + '[split]\nvalidation = "15%"', '[split] validation = "15%": wanted a number, for example 0.15'),
        (
            TABLE + "[split]\ntest = 0.5\nvalidation = 0.5",
            "[split]: validation = 0.5, test = 0.5 leave no training row",
        ),
        (TABLE.replace("target =", 'weights = "area"\ntarget ='), '[data]: weights is "area"; wanted a column that is'),
        ("[model]\nname = 'a'\n[data]\nsource = 'sklearn:digits'\nweights = 'x'", "[data]: weights: only with path"),
        (TABLE + 'class_weights = "balanced"', '[task]: class_weights: only with kind = "classification"'),
        (CLASSES + 'class_weights = "even"', "[task] class_weights: got 'even'; wanted \"balanced\", or"),
        (CLASSES + "class_weights = { a = 0 }", 'class_weights: got "a" = 0; wanted "balanced", or a table'),
        (CLASSES + 'class_weights = { a = "2" }', 'class_weights: got "a" = 2; wanted "balanced", or a table'),
        (CLASSES + "class_weights = {}", "class_weights: got {}; wanted"),
        (TABLE.replace('"price"', "3"), "[data] target: got 3; wanted the name of a column, or a list of such names"),
        (TABLE.replace('"price"', "[]"), "[data] target: got []; wanted the name of a column"),
        (TABLE.replace('"price"', '["p", "q", "p"]'), '[data] target: names "p" twice'),
        (TABLE.replace('"price"', '["p", "town"]'), '[data]: the target "town" is among the inputs in columns'),
        (CLASSES.replace('"price"', '["p", "q"]'), "[data] target names several columns: that needs [task] kind ="),
        (TABLE + 'objective = "mse"', '[task] objective = "mse": wanted "squared_error", "mae", "huber"'),
        (TABLE + 'objective = "quantile"', '[task]: objective = "quantile" needs quantile: the share of rows'),
        (TABLE + 'objective = "quantile"\nquantile = 1.0', "[task] quantile = 1.0: wanted less than 1"),
        (TABLE + "quantile = 0.5", '[task]: quantile: only with objective = "quantile"'),
        (TABLE + 'objective = "huber"', '[task]: objective = "huber" needs huber_delta: the error above which'),
        (TABLE + 'objective = "huber"\nhuber_delta = 0.0', "[task] huber_delta = 0.0: wanted more than 0"),
        (TABLE + 'objective = "gamma"\ntarget_scale = "log"', '[task]: target_scale = "log": not with objective = "ga'),
        (CLASSES + 'objective = "mae"', '[task]: objective: only with kind = "regression"'),
        (
            TABLE + 'objective = "mae"\n[fit]\noptimizer = "levenberg-marquardt"',
            '[task] objective = "mae": not with [fit] optimizer = "levenberg-marquardt", which takes squared',
        ),
        (TABLE + 'target_scale = "sqrt"', '[task] target_scale = "sqrt": wanted "linear" or "log"'),
        (
            TABLE.replace('"regression"', '"classification"\ntarget_scale = "log"'),
            '[task]: target_scale: only with kind = "regression"',
        ),
        (TABLE + '[split]\nkind = "time"', '[split]: kind = "time" needs column'),
        (TABLE + '[split]\nkind = "random"\ncolumn = "a"', '[split]: column is for kind = "time" or "group"'),
        (TABLE + '[split]\nkind = "stratified"', 'needs [task] kind = "classification"'),
        (TABLE + '[split]\nkind = "group"\ncolumn = "price"', "[split] column is the target"),
        (TABLE.replace("house-prices_1.0", ".hidden"), '[model] name = ".hidden": wanted a name of letters'),
        (TABLE.replace("house-prices_1.0", "../up"), '[model] name = "../up": wanted a name of letters'),
        (TABLE.replace('path = "houses.csv"', ""), "[data]: wanted either path"),
        (TABLE.replace('"houses.csv"', "7"), "[data] path = 7: wanted text"),
        (TABLE.replace('target = "price"', ""), "[data]: target is missing"),
        (TABLE.replace('"price"', '"area"'), '[data]: the target "area" is among the inputs'),
        (TABLE.replace('["area", "town"]', '["area", "area"]'), '[data]: columns names "area" twice'),
        (TABLE.replace('["area", "town"]', '["area"]'), '[data]: categories has "town", which is not in columns'),
        (TABLE.replace('"Bonn"', '"Ulm"'), '[data]: categories of "town" names a word twice'),
        (TABLE.replace('"Bonn"', "7"), '[data.categories] "town", entry 2 = 7: wanted text'),
        (
            TABLE.replace('"houses.csv"', '"houses.csv"\nunseen = "ignore"'),
            '[data] unseen = "ignore": wanted "refuse" or',
        ),
        ("[model]\nname = 'a'\n[data]\nsource = 'sklearn:digits'\nunseen = 'other'", "[data]: unseen: only with path"),
        (BY_TARGET.format('"where"'), '[data]: by_target has "where", which is not in columns'),
        (BY_TARGET.format('"town"'), '[data]: "town" is in by_target and in categories; wanted one of them'),
        (BY_TARGET.format('"area", "area"'), "[data]: by_target names a column twice"),
        (TABLE + '[data.dates]\nwhen = "iso"', '[data]: dates has "when", which is not in columns'),
        (TABLE + '[data.dates]\ntown = "iso"', '[data]: "town" is in dates and in categories or by_target'),
        (TABLE + '[data.dates]\narea = "%x"', '[data]: dates of "area" = "%x"; wanted one of iso, %Y-%m, '),
        (TABLE + "[data.dates]\narea = 7", '[data.dates] "area" = 7: wanted text'),
        (TABLE + '[data.dates]\narea = "%Y-%m-%d %H:%M"', '"%Y-%m-%d %H:%M"; "iso" reads such dates; wanted one of'),
        (NO_WORDS, '[data]: unseen = "other": only with columns of words, in [data.categories] or by_target'),
        (
            TABLE + "[search]\ncandidates = []",
            "[search] candidates = []: wanted at least 1 entry: [[search.candidates]]",
        ),
        (TABLE + "[search]\n" + "[[search.candidates]]\nsteps = 3\n" * 65, "wanted at most 64 entries"),
        (TABLE + "[search]\ncandidates = {}", "[search] candidates = {}: wanted a table for each candidate: [[search"),
        (TABLE + "[search]\ncandidates = [3]", "[search] candidates, entry 1 = 3: wanted a table for each candidate"),
        (TABLE + "[search.candidates]\nsteps = 3", '[search] candidates = {"steps": 3}: wanted a table for each cand'),
        (
            "ensemble = true\n" + TABLE,
            "[ensemble] = true: wanted a table: [ensemble] on a line of its own, and its keys",
        ),
        (TABLE + "[[ensemble]]\nmembers = 3", ": wanted a table: [ensemble] once, in single brackets, and its keys"),
        (TABLE + "[ensemble]\nrefit = True", "(at line 13, column 9): refit = True: wanted true in small letters"),
        (TABLE + "[lowering]\ntune_for = [1, 2, 3, 4, 5, 6, 7, 8, 9]", "wanted at most 8 entries"),
        (TABLE.replace('"houses.csv"', '"houses.csv"\nrows = 50'), "[data]: rows: only with a toy source"),
        ("[model]\nname = 'a'\n[data]\nsource = 'sklearn:iris'\n", '[data] source = "sklearn:iris": wanted'),
        ("[model]\nname = 'a'\n[data]\nsource = 'sklearn:digits'\ntarget = 'x'", "[data]: target: only with path"),
        ("", "[model] is missing"),
        ("[model\n", "(at line 1, column 7)"),
    ],
)
def test_a_mistake_is_named_with_its_section_and_key(text: str, wanted: str) -> None:
    """One line says what came and what was wanted, never a dump of the validator.

    This table is the one place that pins these messages.
    """
    with pytest.raises(RecipeError) as caught:
        parse(text)
    assert wanted in str(caught.value)
    assert all(line.startswith("r.toml: ") and "pydantic" not in line for line in str(caught.value).splitlines())


def test_a_column_with_the_name_of_a_share_gets_no_share_as_its_example() -> None:
    """Examples belong to a key of a section: a column of words may be named as one."""
    with pytest.raises(RecipeError, match=r'\[data\.categories\] "quantile" = 5: wanted a list, e\.g\. \[1, 2\]$'):
        parse(TABLE.replace('town = ["Ulm", "Bonn"]', "quantile = 5").replace('"town"', '"quantile"'))


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("hiden = [3]", 'entry 1: unknown key "hiden"; did you mean hidden?'),
        (
            "hidden = [0]",
            "entry 1: hidden: got a level of 0 nodes; wanted a number of 1 or more, or [nodes that add, nodes that "
            "multiply] with one node or more, e.g. [4, 2]",
        ),
        ("grids = [3, 2]", "entry 1: grids = [3, 2]: wanted ascending grid sizes, e.g. [3, 5, 10]"),
    ],
)
def test_a_mistake_in_the_only_candidate_is_one_line(key: str, wanted: str) -> None:
    """The validator does not count such a candidate, and would tell that the list is too short."""
    with pytest.raises(RecipeError) as caught:
        parse(f"{TABLE}[ensemble]\n[search]\n[[search.candidates]]\n{key}\n")
    assert str(caught.value) == f"r.toml: [search] candidates, {wanted}"


def test_words_by_target_take_unseen_other() -> None:
    """They are answered in any case, so the key says what is so."""
    recipe = parse(NO_WORDS.replace("[task]", 'by_target = ["town"]\n[task]'))
    assert (recipe.data.unseen, recipe.data.by_target) == ("other", ("town",))


def test_every_mistake_is_told_at_once() -> None:
    """Two mistakes are two lines."""
    with pytest.raises(RecipeError) as caught:
        parse(TABLE + "[fit]\nstep = 3\n[split]\ntest = 2.0")
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_cannot_be_read_is_a_recipe_error(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8: a message with the path."""
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="cannot read it"):
        load_recipe(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'[model]\nname = "\xe9"')
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(tmp_path / "latin.toml")


@pytest.mark.parametrize("name", ["digits", "diabetes", "formula", "toy"])
def test_recipes_in_the_package_are_valid(name: str) -> None:
    """Every recipe that is installed with the package loads, and is called as its file."""
    with resources.as_file(resources.files("training") / "recipes" / f"{name}.toml") as path:
        assert load_recipe(path).model.name == name
