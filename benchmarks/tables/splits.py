"""The splits of a table: of its rows 80 % train and 20 % test, the classes in equal shares; as CSV files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks.tables.sources import Source, load

SPLITS = 5
_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """One split of a table.

    Attributes:
        source: The table.
        number: Which of the splits, from 0; also the seed of its shuffle.
        train: The CSV file of the rows to train on. It is named after the table, as its model will be.
        test: The CSV file of the rows to test on, with their targets.
        rows: The rows of the whole table.
        fingerprint: Changes when a cell of either file does.
    """

    source: Source
    number: int
    train: Path
    test: Path
    rows: int
    fingerprint: str


def write_splits(source: Source, numbers: range, folder: Path) -> list[Split]:
    """Write these splits of a table under FOLDER/TABLE/NUMBER; the same versions of packages write the same files."""
    table = load(source)
    found = []
    for number in numbers:
        place = folder / source.name / str(number)
        place.mkdir(parents=True, exist_ok=True)
        classes = None if source.task == "regression" else table[source.target]
        train, test = train_test_split(table, test_size=_TEST_SHARE, random_state=number, stratify=classes)
        paths = place / f"{source.name}.csv", place / "test.csv"
        texts = [part.to_csv(index=False).encode() for part in (train, test)]
        for path, text in zip(paths, texts, strict=True):
            if not path.exists() or path.read_bytes() != text:
                path.write_bytes(text)
        digest = hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
        found.append(Split(source, number, *paths, rows=len(table), fingerprint=digest))
    return found


def read(path: Path) -> pd.DataFrame:
    """Read one of the files: numbers, words, and gaps only where a cell is empty."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
