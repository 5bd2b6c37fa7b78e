"""What a run tells while it goes on."""

from training.data.dataset import Dataset
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.recipe.config import Recipe


class Watcher:
    """Hears how a run goes. This one is silent; a subclass overrides what it wants to show."""

    def on_prepared(self, dataset: Dataset) -> None:
        """The table has been read."""

    def on_warning(self, text: str) -> None:
        """A person should know this before they wait for the fit."""

    def on_step(self, state: FitState) -> None:
        """The fit has done one more step."""

    def on_refit(self, dataset: Dataset, recipe: Recipe) -> None:
        """A fit of all rows begins; it follows this recipe."""

    def on_message(self, text: str) -> None:
        """A step after the fit begins that takes its time."""

    def on_unjudged_step(self, step: int, train_loss: float) -> None:
        """Called after each epoch of the refit, which no validation rows judge."""

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        """Called after each evaluation on the validation rows, and at the end, while a published version learns on."""
