"""Go through a fit, and keep its state from time to time, so that it can go on where it was stopped."""

import time
from dataclasses import dataclass

from training.data.dataset import Dataset
from training.errors import Interrupted
from training.fitting.fit import FitState
from training.pipelines.fresh.fit import FreshFit, follow
from training.pipelines.interruption import Interruption
from training.pipelines.run_folder import RunFolder, RunIdentity, identity_of
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe
from training.threads import threads_for, torch_threads

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


@dataclass(frozen=True)
class KeptFit:
    """A fit whose state is kept.

    Attributes:
        way: The fit.
        recipe: What it follows.
        dataset: Its rows.
        folder: Where its state is kept.
    """

    way: FreshFit
    recipe: Recipe
    dataset: Dataset
    folder: RunFolder

    @property
    def identity(self) -> RunIdentity:
        """A state of the same identity can be gone on with."""
        return identity_of(self.recipe, self.dataset)

    def go_on(self, state: FitState, stop: Interruption, watcher: Watcher) -> FitState:
        """Fit to the end.

        Raises:
            Interrupted: SIGINT came; the state is kept.
        """
        identity, kept = self.identity, time.monotonic()
        with torch_threads(threads_for(state.kan, self.recipe.fit.batch_rows or len(self.dataset.train))):
            steps = follow(self.way, state, watcher)
            for state in steps:
                asked = stop.requested  # read once: it may turn true between two looks
                if asked or time.monotonic() - kept > _SECONDS_BETWEEN_CHECKPOINTS:
                    self.folder.save_state(state, identity)
                    kept = time.monotonic()
                if asked:
                    stop_if_asked(stop, self.folder)
        self.folder.save_state(state, identity)
        stop_if_asked(stop, self.folder)
        return state


def stop_if_asked(stop: Interruption, folder: RunFolder) -> None:
    """End the run where its state is kept."""
    if stop.requested:
        raise Interrupted(f"stopped; the run is kept in {folder.path}: the same command with --resume goes on")
