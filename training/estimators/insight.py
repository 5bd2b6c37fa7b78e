"""What a fitted estimator learned: pictures, effects, formulas, contributions. In a notebook each shows itself."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.analysis.contributions import contributions
from kan_model.plot import diagram
from training.data.encoding import Numbers
from training.errors import quoted, quoted_list
from training.estimators.notes import explain_lack
from training.explaining import reference_of_table
from training.pipelines.fresh.judged_fit import JudgedFit
from training.publishing.manifest import input_names, output_names
from training.report.effects.computed import compute_effect
from training.report.effects.drawn import draw_effects
from training.report.effects.section import shown_outputs
from training.report.effects.shown_columns import shown_columns
from training.report.network_section import drawn_rows

_DOTS_PER_INCH = 100
# The columns beside those of the inputs in a table of contributions.
BASELINE, ANSWER = "baseline", "answer"


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        figure: Of matplotlib.
    """

    figure: Figure

    def save(self, path: str | Path) -> None:
        """Write it to a file whose name ends in .png, .svg or .pdf."""
        self.figure.savefig(path)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
        return buffer.getvalue()


@dataclass(frozen=True)
class ColumnEffect(Picture):
    """How the answers change with one column while all others stay as they are in the rows.

    Attributes:
        values: Mean answers, a column for each output; the index holds the values of the column.
    """

    values: pd.DataFrame = field(repr=False)


@dataclass(frozen=True)
class Formula:
    """The formula of a network, in the units of the rows.

    Attributes:
        text: One line an output.
        latex: The same for LaTeX.
    """

    text: str
    latex: str

    def __str__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return "\n\n".join(f"${line}$" for line in self.latex.splitlines())


def draw_network(manifest: ModelManifest, fit: JudgedFit) -> Picture:
    """The diagram of the network, over the training rows.

    Raises:
        ValueError: it has an answer to one of these rows at most.
    """
    dataset = fit.dataset
    rows, _ = drawn_rows(fit.trained, dataset.x[dataset.train])
    return Picture(diagram(fit.trained.kan, rows, names=input_names(manifest), outputs=_outputs(manifest, fit)))


def show_effect(manifest: ModelManifest, fit: JudgedFit, name: str) -> ColumnEffect:
    """The effect of a column on the answers.

    Args:
        manifest: Names columns and outputs.
        fit: The network and its rows.
        name: Of a column. Of a column of dates each of its numbers is a column, such as "day: month".

    Raises:
        ValueError: there is no such column, or it has one value only.
    """
    dataset = fit.dataset
    raw = dataset.x[dataset.train]
    columns = {column.name: column for column in shown_columns(manifest, fit.trained, raw)}
    if name not in columns:
        raise ValueError(f"there is no column {quoted(str(name))} that varies; wanted one of {quoted_list([*columns])}")
    spelled = dataset.spelled.get(name)
    one = compute_effect(fit.trained, raw, columns[name], None if spelled is None else spelled[dataset.train])
    names = _outputs(manifest, fit)
    picture = draw_effects([one], names, shown_outputs(manifest, len(names), [one])[0], across=1)
    index = pd.Index(one.words or one.effect.values[:, 0], name=name)
    return ColumnEffect(picture, pd.DataFrame(one.effect.mean, index=index, columns=list(names)))


def read_formula(manifest: ModelManifest, fit: JudgedFit, estimator: str) -> Formula:
    """The formula of the network, or the one that was told beside it.

    Raises:
        ValueError: there is none. The message tells why.
    """
    if fit.formula:
        return Formula(fit.formula, fit.latex)
    if fit.formula_details is not None:
        sides = zip(_outputs(manifest, fit), fit.formula_details.text, strict=True)
        return Formula("\n".join(f"{name} = {side}" for name, side in sides), "\n".join(fit.formula_details.latex))
    raise ValueError(f"the network has no formula: {explain_lack(fit, estimator)}")


def explain_rows(manifest: ModelManifest, fit: JudgedFit, x: Numbers) -> pd.DataFrame:
    """How much each column adds to each answer, compared with a usual row of the training rows.

    The contributions of a row and the baseline add up to the answer; of classes, to its score before the softmax.

    Args:
        manifest: Names the outputs.
        fit: The network and its rows.
        x: ``[rows, features]``, raw.

    Returns:
        ``[rows, columns + 2]``: the contribution of each column, then the baseline and the answer. Of several outputs
        the columns have two levels, the output and these.
    """
    reference, trained = reference_of_table(fit.dataset), fit.trained
    found = contributions(
        trained.kan, torch.from_numpy(x), torch.from_numpy(reference.values[None]), trained.inputs, trained.outputs
    )
    summed = torch.zeros(*found.inputs.shape[:2], len(reference.columns), dtype=torch.float64)
    summed = summed.index_add(2, torch.tensor(reference.column_of), found.inputs)
    baseline = found.baseline.expand(len(x), -1)
    whole = torch.cat([summed, baseline[..., None], found.explained[..., None]], dim=2).numpy()
    names, inner = _outputs(manifest, fit), [*reference.columns, BASELINE, ANSWER]
    if len(names) == 1:
        return pd.DataFrame(whole[:, 0], columns=inner)
    columns = pd.MultiIndex.from_product([list(names), inner])
    return pd.DataFrame(whole.reshape(len(x), -1), columns=columns)


def _outputs(manifest: ModelManifest, fit: JudgedFit) -> Sequence[str]:
    return output_names(manifest.classes, manifest.target, fit.trained.kan.width[-1], manifest.targets)
