"""Read and encode a table in this process: ``python -m benchmarks.reading.measure WAY RECIPE`` prints the cost."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.processes import peak_growth_mb
from training.data.dataset import Dataset, prepare_table
from training.data.table import Table, read_table
from training.data.table.csv_file import read_csv
from training.recipe.config import load_recipe

_MB_PER_MIB = 1.048576

WAYS: dict[str, Callable[[Path], Table]] = {
    "quick": read_table,
    "csv module": lambda path: read_csv(path, path.read_bytes()),
}


@dataclass(frozen=True)
class Cost:
    """What a way costs.

    Attributes:
        read_seconds: Processor time until the table is in memory, all threads.
        seconds: The same until features and split are made too.
        mib: How far the peak of resident memory is above that of the process with its imports.
        fingerprint: Of features and target: the same for all ways.
    """

    read_seconds: float
    seconds: float
    mib: float
    fingerprint: str


def measure(way: str, recipe: Path) -> Cost:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reading.measure", way, str(recipe)]
    return Cost(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process, and print the cost as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading.measure", description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("recipe", type=Path)
    options = parser.parse_args(arguments)
    recipe = load_recipe(options.recipe)
    assert recipe.data.path is not None
    path, seconds, found = recipe.data.path, [time.process_time()], list[Dataset]()

    def work() -> None:
        table = WAYS[options.way](path)
        seconds.append(time.process_time())
        found.append(prepare_table(recipe, table, recipe.data.columns, recipe.data.target))
        seconds.append(time.process_time())

    mib = peak_growth_mb(work) / _MB_PER_MIB
    start, read, end = seconds
    print(json.dumps(asdict(Cost(read - start, end - start, mib, found[0].fingerprint))))


if __name__ == "__main__":
    main()
