"""The runs of the experiment, and what they show."""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.experiments.noise import command, genetic, in_context, kan
from benchmarks.paper.experiments.noise.judge import judge
from benchmarks.paper.experiments.noise.laws import LAWS
from benchmarks.paper.medians import column, number
from benchmarks.paper.outcomes import by_contender

# As words, because a case is a word; the ends come first, so that a run that is cut short has them.
LEVELS: Mapping[str, float] = {"0 %": 0.0, "10 %": 0.1, "1 %": 0.01, "5 %": 0.05}
_KAN, _CONTEXT, _COMMAND, _GENETIC = "KAN", "KAN in context", "kan-train", "gplearn"
_CONTENDERS = (_KAN, _CONTEXT, _COMMAND, _GENETIC)
_FINDERS = {_KAN: kan.find_formula, _CONTEXT: in_context.find_formula}
_SEEDS = range(4)
# The commands search from five seeds by themselves, which takes minutes, so one table of each law and level is planned.
_LEVELS_OF_COMMAND = ("0 %", "1 %", "5 %")


def plan(quick: bool) -> Sequence[Run]:
    """Level after level, law after law; of the commands law after law. A quick plan has one of each and one seed.

    gplearn is in a quick plan only if it is installed.
    """
    contenders = [_KAN, _CONTEXT, *([_GENETIC] if not quick or genetic.is_installed() else [])]
    laws = list(LAWS)[: 1 if quick else None]
    levels = list(LEVELS)[: 1 if quick else None]
    commands = [Run(f"{law} at {level}", _COMMAND, 0) for law in laws for level in _LEVELS_OF_COMMAND[: len(levels)]]
    return [
        Run(f"{law} at {level}", name, seed)
        for seed in _SEEDS[: 1 if quick else None]
        for level in levels
        for law in laws
        for name in contenders
    ] + commands


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Find the formula of one table and judge it."""
    text, level = run.case.rsplit(" at ", 1)
    law = LAWS[text]
    rows, values = law.table(run.seed, LEVELS[level])
    if run.contender in _FINDERS:
        found = _FINDERS[run.contender](rows, values, law.names, run.seed, quick)
        if found is None:
            return {"is_law": 0, "error": float("inf"), "formula": "none: some edges stay splines"}
        judgement = judge(law, found.expression)
        more: Mapping[str, Number] = {"formula": found.text, "shape": found.shape}
    elif run.contender == _COMMAND:
        printed = command.find_formula(rows, values, law.names, quick)
        if printed is None:
            return {"is_law": 0, "error": float("inf"), "formula": "none is printed"}
        judgement = judge(law, printed.expression)
        more = {
            "formula": printed.text,
            "shape": printed.shape,
            "agreeing": printed.agreeing,
            "served": int(printed.is_served),
        }
    else:
        expression = genetic.find_formula(rows, values, law.names, run.seed, quick)
        judgement = judge(law, expression)
        more = {"formula": str(expression)}
    return {"is_law": int(judgement.is_law), "error": judgement.error, **more}


def show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    """A row for each law, a cell for each level."""
    if not outcomes:
        return None
    run = {(one.run.contender, one.run.case.rsplit(" at ", 1)[1]) for one in outcomes}
    columns = [
        (name, level)
        for name in _CONTENDERS
        for level in sorted(LEVELS, key=LEVELS.__getitem__)
        if (name, level) in run
    ]
    rows = [["law", *(f"{name}, {level}" for name, level in columns)]]
    rows += [[f"`{law}`", *(_cell(outcomes, f"{law} at {level}", name) for name, level in columns)] for law in LAWS]
    rows.append(["recovered", *(_count(outcomes, level, name) for name, level in columns)])
    absent = "" if any(name == _GENETIC for name, _ in columns) else "gplearn is not installed, or was not run.\n\n"
    meaning = (
        "A cell says from how many seeds the law is found: constants within 1 % of the found ones (within 0.01 if they "
        "are below 1) make the formula the law. Then the median root mean square error on rows without noise, in "
        "standard deviations of the law; inf: some edges stay splines. *Recovered* counts laws found from most seeds. "
        "400 rows to learn from and 100 to choose by; noise in shares of the standard deviation. `kan-train` is the "
        "command line without an edit: `kan-train init --formula` and `kan-train run` on the 500 rows as a CSV, of "
        "which the recipe takes 325 to learn from, 75 to choose by and 100 to test by, and searches from five seeds; "
        "judged is the formula that it prints, served or told beside the network. There is no MLP beside: it gives no "
        "formula; gplearn does."
    )
    return f"{render(rows)}\n{absent}{meaning}\n\n{_formulas(outcomes)}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many laws are found at each level."""
    names = [name for name in _CONTENDERS if any(one.run.contender == name for one in outcomes)]
    levels = sorted(LEVELS, key=LEVELS.__getitem__)
    parts = []
    for name in names:
        counts = {level: _count(outcomes, level, name) for level in levels}
        parts.append(f"{name} {', '.join(f'{count} at {level}' for level, count in counts.items() if count)}")
    return f"Laws found again from 500 noisy rows: {'; '.join(parts)}." if parts else ""


def _cell(outcomes: Sequence[Outcome], case: str, name: str) -> str:
    found = by_contender(outcomes, case).get(name, [])
    if not found:
        return ""
    count, error = sum(column(found, "is_law")), statistics.median(column(found, "error"))
    told = f"{count:.0f} of {len(found)}"
    return f"{f'**{told}**' if 2 * count > len(found) else told}, {error:.1e}"


def _count(outcomes: Sequence[Outcome], level: str, name: str) -> str:
    """Laws found from most seeds, as "7 of 10"; "" without a run."""
    cases = [by_contender(outcomes, f"{law} at {level}").get(name, []) for law in LAWS]
    shares = [statistics.mean(column(found, "is_law")) for found in cases if found]
    return f"{sum(share > 0.5 for share in shares)} of {len(shares)}" if shares else ""


def _formulas(outcomes: Sequence[Outcome]) -> str:
    """What was found at the highest level of noise, from the first seed."""
    level = max(LEVELS, key=LEVELS.__getitem__)
    rows = [["law", "found by", f"formula at {level}"]]
    rows += [
        [f"`{one.run.case.rsplit(' at ', 1)[0]}`", one.run.contender, f"`{_short(str(one.numbers['formula']))}`"]
        for one in outcomes
        if one.run.case.endswith(f" at {level}") and one.run.seed == _SEEDS[0]
    ]
    return f"{render(rows)}\n" if len(rows) > 1 else ""


def _short(text: str) -> str:
    text = text.replace("|", "¦")
    return text if len(text) <= 100 else f"{text[:99]}…"


def _law_of(run: Run) -> str:
    """The law of a run: its four levels share the rows."""
    return run.case.rsplit(" at ", 1)[0]


def _is_law(name: str, outcome: Outcome) -> float | None:
    """1 if a contender found the law, 0 if not."""
    return number(outcome, "is_law") if outcome.run.contender == name else None


EXPERIMENT = Experiment(
    name="noise",
    title="Ten known laws from noisy rows",
    claim=(
        "Sections 2.5.1 and 4.1: a KAN that is pruned and turned into functions gives back the formula behind the "
        "data. Here with noise, and one procedure for all laws: six shapes, some with a node that multiplies."
    ),
    revision=1,
    compared=("error",),
    # That of KAN in context follows with its results.
    conclusions=tuple(
        Conclusion(f"{name}, share of laws found, four levels of noise", partial(_is_law, name), "share", _law_of)
        for name in (_KAN, _GENETIC)
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
