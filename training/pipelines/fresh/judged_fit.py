"""What a fit gives, and what is known of it: everything that a version is made of but its graphs."""

from collections.abc import Mapping
from dataclasses import dataclass

from kan_api.v1.manifest_pb2 import Formula
from training.data.dataset import Dataset
from training.fitting.record import Record
from training.publishing.export import Trained
from training.recipe.config import Recipe
from training.report.judged import Judged


@dataclass(frozen=True)
class JudgedFit:
    """A network, and how good it is.

    Attributes:
        dataset: Its training rows trained the network.
        trained: The network with its transforms.
        recipe: The keys that it was fitted by.
        history: Of the fit and of the steps after it.
        notes: For terminal and report.
        metrics: Of the out-of-fold answers, the search and the baselines; after a refit also of the test rows. The
            manifest measures the others on the published network.
        judged: Answers to the test rows; None: there are none.
        formula: One line an output, or "".
        latex: The same as LaTeX.
        attribution: The score of each feature, or empty.
        tested_rows: After a refit the number of rows that judged the network before it; else 0.
        formula_details: The formula beside the network, also if it is not the one to publish; None: there is none.
    """

    dataset: Dataset
    trained: Trained
    recipe: Recipe
    history: tuple[Record, ...]
    notes: tuple[str, ...]
    metrics: Mapping[str, float]
    judged: Judged | None
    formula: str = ""
    latex: str = ""
    attribution: tuple[float, ...] = ()
    tested_rows: int = 0
    formula_details: Formula | None = None
