"""What each command of kan-train does.

Torch and pandas take seconds to import, so each command imports them itself. --help then answers at once, and Ctrl-C
during the import is handled by `main`.
"""

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kan_api.metric_names import shown_name
from training.cli.output import Output
from training.collection import objects_for_good
from training.errors import RecipeError

if TYPE_CHECKING:
    from training.recipe.config import Recipe


def init(options: argparse.Namespace, output: Output) -> None:
    """Write a recipe for a table."""
    from training.draft.draft import columns_in_doubt, columns_left_out, draft_recipe
    from training.draft.inspection import inspect
    from training.draft.recipe_file import check_output, write_recipe

    if options.target is None:
        _tell_columns(options, output)
    path = options.output or Path(options.table.stem + ".toml")
    if options.pairs and not options.additive:
        raise RecipeError(f"--pairs {options.pairs}: only with --additive; add it, or leave --pairs out")
    check_output(path, options.table)
    inspection = inspect(options.table, options.target, options.decimal)
    text = draft_recipe(
        inspection,
        path.parent,
        name=path.stem,
        formula=options.formula,
        additive=options.additive,
        pairs=options.pairs,
    )
    write_recipe(path, text, replace=options.force)
    left_out, in_doubt = (each(inspection, formula=options.formula) for each in (columns_left_out, columns_in_doubt))
    remarks = [*left_out, *in_doubt]
    wrote = f"wrote {path}; read its comments, then: kan-train run {shlex.quote(str(path))}"
    output.tell("\n".join([*remarks, wrote]), "wrote", recipe=str(path), target=options.target, remarks=remarks)


def _tell_columns(options: argparse.Namespace, output: Output) -> NoReturn:
    """List the columns of a table whose target is not named.

    Raises:
        RecipeError: always; it says which command to run next.
    """
    from training.draft.columns_found import column_lines, find_columns

    found = find_columns(options.table, options.decimal)
    columns = [asdict(each) for each in found.columns]
    output.tell("\n".join(column_lines(found)), "columns", table=found.source, rows=found.rows, columns=columns)
    decimal = f" --decimal {shlex.quote(options.decimal)}" if options.decimal else ""
    command = f"kan-train init {shlex.quote(str(options.table))}{decimal} --target"
    example = "" if found.example is None else f", for example {command} {shlex.quote(found.example)}"
    raise RecipeError(f"say which column to predict: {command} COLUMN{example}")


def run(options: argparse.Namespace, output: Output) -> None:
    """Train from a recipe and publish."""
    # Before the imports, so that a mistake in the recipe is told at once.
    recipe = _recipe(options.recipe)

    with objects_for_good():
        from training.cli.watchers import watching
        from training.pipelines.interruption import interrupt_on_termination
        from training.pipelines.run import Run
        from training.pipelines.run_folder import RunFolder
        from training.pipelines.train import train
        from training.report.summary import facts, of_run

    folder = RunFolder(options.runs / recipe.model.name)
    wanted = Run(recipe, options.models, folder, resume=options.resume, fresh=options.fresh)
    with interrupt_on_termination(), watching(recipe, output) as watcher:
        published = train(wanted, watcher)
    output.tell(of_run(published, folder.held_out), "published", **facts(published), held_out=str(folder.held_out))


def _recipe(path: Path) -> "Recipe":
    from training.recipe.config import load_recipe

    try:
        return load_recipe(path)
    except RecipeError:
        if path.suffix.lower() == ".toml" or not path.is_file():
            raise
        from training.data.table import PARQUET_SUFFIXES, TEXT_SUFFIXES  # Loads pandas.

        if path.suffix.lower() not in (*TEXT_SUFFIXES, *PARQUET_SUFFIXES):
            raise
        raise RecipeError(
            f"{path}: a recipe is wanted, and this looks like a table; "
            f"`kan-train init {shlex.quote(str(path))} --target COLUMN` writes a recipe for it"
        ) from None


def formula(options: argparse.Namespace, output: Output) -> None:
    """Search the formula of a finished run again."""
    from training.pipelines.fresh.kept_files import check_finished
    from training.recipe.symbolic import symbolic_section

    given = {name: getattr(options, name) for name in ("min_r2", "functions", "choice", "seeds", "budget")}
    changes = {name: value for name, value in given.items() if value is not None}
    # A mistake in the arguments is told before the imports that take seconds.
    symbolic_section(changes)
    check_finished(options.run)
    from training.cli.search_progress import SearchProgress
    from training.pipelines.fresh.formula_again import find_formula
    from training.pipelines.interruption import interrupt_on_termination
    from training.report.summary import shown_formula

    with interrupt_on_termination(), SearchProgress(output.tell_aside) as progress:
        found = find_formula(options.run, changes, progress.begin, progress.count)
    lines, file = shown_formula(found.text, options.run / "formula-again.txt")
    details = found.details
    metrics = {} if details is None else dict(details.formula_metrics)
    of_network = {} if details is None else dict(details.network_metrics)
    lines += [
        f"  {shown_name(name.removeprefix('test_'))} {value:.4g} on the test rows, the network {of_network[name]:.4g}"
        for name, value in sorted(metrics.items())
        if name in of_network
    ]
    output.tell(
        "\n".join([*(f"  {note}" for note in found.notes), *(lines or ["no formula of the whole network"])]),
        "formula",
        formula=found.text,
        file=None if file is None else str(file),
        notes=list(found.notes),
        formula_metrics=metrics,
        network_metrics=of_network,
    )


def tune(options: argparse.Namespace, output: Output) -> None:
    """Lower a version again for this machine."""
    from training.publishing.repository import find_newest

    find_newest(options.version, "tune that one")  # A wrong folder is told before the imports that take seconds.
    from training.pipelines.tune import tune as tune_version
    from training.report.summary import facts, of_tuning

    published = tune_version(options.version, options.rows, output.tell_aside)
    output.tell(of_tuning(published), "published", **facts(published))


def import_network(options: argparse.Namespace, output: Output) -> None:
    """Publish a network of another library."""
    from training.pipelines.importing import Import, import_network
    from training.report.summary import facts, of_import

    given = {field: getattr(options, field) for field in Import.__dataclass_fields__}
    published = import_network(Import(**given))
    output.tell(of_import(published), "published", **facts(published))


def list_versions(options: argparse.Namespace, output: Output) -> None:
    """List the versions of a repository."""
    from training.versions import list_versions, version_lines

    found = list_versions(options.models, options.model)
    if output.style == "text":
        output.tell("\n".join(version_lines(found)) if found else f"{options.models} holds no models", "")
        return
    for version in found:
        output.tell_object("version", **asdict(version))


def roll_back(options: argparse.Namespace, output: Output) -> None:
    """Withdraw the newest version of a model."""
    from training.versions import roll_back

    done = roll_back(options.models, options.model, options.to)
    lines = [
        f"withdrew {options.models / done.model / str(version)}; it is kept as "
        f"{options.models / done.model / f'.withdrawn-{version}'}"
        for version in done.withdrawn
    ]
    newest = f"version {done.version} of {done.model} is the newest" + (" already; nothing to do" * (not lines))
    served = (
        [
            "kan-serve answers with it, at the latest after its next look at the repository (--poll-seconds), "
            "unless its settings (--versions) select other versions: its log says so"
        ]
        if lines
        else []
    )
    output.tell("\n".join([*lines, newest, *served, *done.notes]), "rolled_back", **asdict(done))
