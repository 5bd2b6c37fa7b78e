"""The page *Is it true?*: what all experiments found, made of their committed results."""

import sys
import tempfile
from pathlib import Path

from benchmarks.paper.conclusions import conclude, show_verdicts
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.fresh import Comparison, compare, told, told_together
from benchmarks.paper.outcomes import FRESH, MEASURED, Outcomes, missing

_DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURES = _DOCS / "is-it-true.md", _DOCS / "pictures" / "paper"
_HEAD = """# Is it true?

<!-- Made by `python -m benchmarks.paper --page` from benchmarks/paper/measured; do not edit. -->

The claims of the KAN paper (arXiv 2404.19756), re-run here. Each section has the command that made it. Everything runs
on one thread, in float64 unless a section says float32. Numbers are medians over the seeds, with the smallest and the
largest in brackets. Errors are root mean squares on test points that no choice has seen. "(P)" marks a number of the
paper. A section says how many of its planned runs are done.

Beside each KAN stand an MLP of about its parameters and one of its processor time. The time is that of the KAN in the
same run, because it depends on the load of the machine. Where an MLP has no meaning, the section says so.

"""
_SINGLE = """The numbers of the tables are compared one by one, too. Each section names those that lie outside of a
spread that should hold 95 of 100 further runs: mean ± t · s · √(1 + 1/n) of n seeds, of logarithms; of four seeds that
is mean ± 3.56 s. """
_NOT_HERE = """## Not run here

Knot theory (section 4.3) and Anderson localisation (section 4.4): their data do not come with any package that is
installed here, so nothing is said about these claims.
"""


def page_text(pictures: Path) -> str:
    """The page; pictures are written into a folder.

    Args:
        pictures: The folder, which exists.
    """
    parts, first = [], []
    compared: list[Comparison] = []
    concluded = []
    for name, experiment in EXPERIMENTS.items():
        outcomes = Outcomes(MEASURED / f"{name}.json", experiment)
        found = outcomes.load()
        shown = experiment.show(found, pictures) if found else None
        if shown is None:
            parts.append(
                f"## {experiment.title}\n\n{experiment.claim}\n\nNot run yet: `python -m benchmarks.paper {name}`.\n"
            )
            continue
        seconds = sum(outcome.cpu_seconds for outcome in found)
        planned, left = experiment.plan(False), len(list(missing(experiment.plan(False), found)))
        done = f"{len(planned) - left} of {len(planned)} planned runs so far" if left else f"{len(planned)} runs"
        if summary := experiment.summary(found):
            first.append(f"- **{experiment.title}.** {summary}{f' ({done}.)' if left else ''}")
        taken = f"- {done}, {seconds / 60:.0f} minutes of processor time\n"
        fresh = Outcomes(FRESH / f"{name}.json", experiment).load()
        comparisons = compare(experiment, found, fresh)
        compared += comparisons
        concluded.append((experiment, found, fresh))
        taken += told(comparisons)
        parts.append(f"## {experiment.title}\n\n{experiment.claim}\n\n{shown}\n{outcomes.where()}\n{taken}")
    opening = "## Where a KAN wins, and where it loses\n\n" + "\n".join(first) + "\n\n" if first else ""
    same = show_verdicts(conclude(concluded))
    again = f"{same}\n{_SINGLE}{told_together(compared)}\n\n" if same else ""
    return _HEAD + opening + again + "\n".join([*parts, _NOT_HERE])


def write_page() -> None:
    """Write the page and its pictures into docs."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page_text(PICTURES), encoding="utf-8")


def check_page() -> int:
    """0 if the page is that of the results, 1 if not. Pictures are not compared: they differ between machines."""
    with tempfile.TemporaryDirectory() as folder:
        is_same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page_text(Path(folder))
    if not is_same:
        print(f"{PAGE.name} is not that of the results; wanted `python -m benchmarks.paper --page`", file=sys.stderr)
    return 0 if is_same else 1
