"""Go through the rounds of a search; its state after each step can be saved."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from kan_model import KAN, align_grids
from kan_model.network.transform import InputTransform, OutputTransform
from training.calibration import LeftOutRows
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import new_network
from training.data.split import RowNumbers
from training.ensemble.plan import EnsembleFit, most_members
from training.ensemble.side_by_side import separate, side_by_side
from training.errors import DataError
from training.fitting.apart import ApartRows
from training.fitting.fit import TrainingDiverged
from training.fitting.state import Block, FitState, restart
from training.recipe.config import Recipe
from training.search.candidates import SearchPlan, plan_search
from training.search.rounds import Round


@dataclass(frozen=True)
class _Job:
    """A candidate and the members that it fits next."""

    candidate: int
    first: int
    end: int


@dataclass(frozen=True)
class SearchFit:
    """The fit of a recipe with [search]: its steps go from block to block, and its network is that of the winner.

    Attributes:
        plan: Candidates and rounds.
        fits: The fit of all members by each candidate, on the same folds.
    """

    plan: SearchPlan
    fits: tuple[EnsembleFit, ...]

    @classmethod
    def of(
        cls, recipe: Recipe, dataset: Dataset, inputs: InputTransform, outputs: OutputTransform, dtype: torch.dtype
    ) -> "SearchFit":
        """Plan the search within the recipe's budget.

        Raises:
            DataError: the rows do not allow the grids of a candidate, which the message names.
            FitRefused: rows or targets are not finite in this type.
        """
        rows = len(dataset.train) + len(dataset.validation)
        answers = len(dataset.classes) or dataset.y.shape[1]
        plan = plan_search(recipe, rows, dataset.x.shape[1], answers, most_members(recipe, dataset))
        _check_candidates(plan, dataset, inputs)
        # Candidates change network and fit only, so they share the rows and the folds.
        shared = EnsembleFit.of(recipe, dataset, inputs, outputs, dtype)
        return cls(plan, tuple(replace(shared, recipe=candidate.recipe) for candidate in plan.candidates))

    def begin(self) -> FitState:
        """The state before the first step of the first candidate."""
        job = _next_job(self.plan.rounds, [])
        assert job is not None
        state = self._fit_of(job).begin()
        state.share_done = 0.0
        return state

    def steps(self, state: FitState) -> Iterator[FitState]:
        """Fit block after block; the state is changed and yielded again and again.

        A candidate whose loss is not finite loses. At the end the state holds the winner's members.

        Raises:
            TrainingDiverged: no candidate's loss was finite.
        """
        while (job := _next_job(self.plan.rounds, state.blocks)) is not None:
            yield from self._fit_block(state, job)
            following = _next_job(self.plan.rounds, state.blocks)
            if following is not None:
                restart(state, self._fit_of(following).begin())
            else:
                self._finish(state)
            yield state

    def network(self, state: FitState) -> KAN:
        """The mean of the winner's members, as one network."""
        return self._winner(state).network(state)

    def chosen(self, state: FitState) -> Recipe:
        """The recipe of the winner."""
        return self._winner(state).recipe

    def out_of_fold(self, state: FitState) -> tuple[RowNumbers, Numbers]:
        """As of the winner."""
        return self._winner(state).out_of_fold(state)

    def apart(self, state: FitState) -> ApartRows:
        """As of the winner, without the rows that chose it: those of the folds on which several candidates competed."""
        winner, last = _ranking(state.blocks)[0], self.plan.rounds[-1].first
        (block,) = (each for each in state.blocks if each.candidate == winner and each.first == last)
        fit = self.fits[winner].some(block.first, block.end)
        rows = fit.apart(replace(state, apart=block.apart))
        return rows.without(fit.numbers[(fit.rows.folds < last).numpy()])

    def left_out(self, state: FitState) -> LeftOutRows:
        """As of the winner, without the rows that chose it: those of the folds on which several candidates competed."""
        fit, last = self._winner(state), self.plan.rounds[-1].first
        return fit.left_out(state).without(fit.numbers[(fit.rows.folds < last).numpy()])

    def covariances(self, state: FitState) -> None:
        """None: an optimizer does not tell them."""

    def metrics(self, state: FitState) -> dict[str, float]:
        """The scores of the winner's out-of-fold answers, and the losses that the search compared."""
        found = self._winner(state).metrics(state)
        for index in range(len(self.fits)):
            if (loss := _loss(state.blocks, index)) < math.inf:
                found[f"search_candidate_{index + 1}_loss"] = loss
                found[f"search_candidate_{index + 1}_members"] = float(_members(state.blocks, index))
        return found | {"search_chosen_candidate": float(_ranking(state.blocks)[0] + 1), "search_work": self.plan.work}

    def notes(self, state: FitState) -> list[str]:
        """What was compared, and what was chosen."""
        lines = [
            f"search    candidate {index + 1}: out-of-fold loss {self._compared(state, index)}: {candidate.text}"
            for index, candidate in enumerate(self.plan.candidates)
        ]
        winner = _ranking(state.blocks)[0]
        chosen = f"search    candidate {winner + 1} was chosen"
        if len(self.plan.rounds) > 1:
            members = _members(state.blocks, winner)
            chosen += f"; of all {members} members its out-of-fold loss is {_loss(state.blocks, winner):.4g}"
        faults = [
            f"search    members {block.first + 1} to {block.end}: {note}"
            for block in state.blocks
            if block.candidate == winner
            for note in block.notes
        ]
        return [*self.plan.notes, *lines, chosen, *faults]

    def _compared(self, state: FitState, candidate: int) -> str:
        """The losses by which a candidate was compared with others, each over the same members as theirs."""
        ends = [each.end for each in self.plan.rounds if each.candidates > 1] or [self.plan.rounds[-1].end]
        took_part = {block.end for block in state.blocks if block.candidate == candidate}
        return ", ".join(
            f"{_loss([block for block in state.blocks if block.end <= end], candidate):.4g} of {_first_members(end)}"
            for end in ends
            if end in took_part
        )

    def _winner(self, state: FitState) -> EnsembleFit:
        return self.fits[_ranking(state.blocks)[0]]

    def _fit_of(self, job: _Job) -> EnsembleFit:
        return self.fits[job.candidate].some(job.first, job.end)

    def _fit_block(self, state: FitState, job: _Job) -> Iterator[FitState]:
        state.candidate, state.members = job.candidate, (job.first, job.end)
        fit, plan = self._fit_of(job), self.plan
        done = sum(_work(plan, b) for b in state.blocks)
        try:
            for each in fit.steps(state):
                each.share_done = min(1.0, (done + fit.share_done(each) * _work(plan, job)) / plan.work)
                # The end of the block comes with the start of the next one.
                if each.stage < len(fit.recipe.fit.grids):
                    yield each
        except TrainingDiverged:
            state.best_loss = math.inf
        text = (
            f"candidate {job.candidate + 1} of {len(self.fits)}, members {job.first + 1} to {job.end}: "
            f"out-of-fold loss {state.best_loss:.4g}  ({plan.candidates[job.candidate].text})"
        )
        has_answers = state.best_loss < math.inf
        apart, notes = (state.apart, fit.notes(state)) if has_answers else (None, [])
        state.blocks.append(Block(job.candidate, job.first, job.end, state.best, state.best_loss, text, apart, notes))

    def _finish(self, state: FitState) -> None:
        winner = _ranking(state.blocks)[0]
        own = sorted((block for block in state.blocks if block.candidate == winner), key=lambda block: block.first)
        if not math.isfinite(sum(block.loss for block in own)):
            rate = self.fits[winner].recipe.fit.learning_rate
            raise TrainingDiverged(
                f"the loss of every candidate is not finite; wanted a smaller learning_rate (now {rate:g})"
            )
        members = [member for block in own for member in separate(block.network, block.end - block.first)]
        # The best networks of two blocks may be on different grids.
        state.kan = state.best = side_by_side(align_grids(members))
        state.best_loss, state.share_done = _loss(state.blocks, winner), 1.0


def _check_candidates(plan: SearchPlan, dataset: Dataset, inputs: InputTransform) -> None:
    """Refuse a candidate that no member could begin, before another one is fitted for nothing."""
    for number, candidate in enumerate(plan.candidates, 1):
        try:
            new_network(dataset, candidate.recipe, inputs)
        except DataError as error:
            raise DataError(f"[search] candidates, entry {number}: {error}") from None


def _first_members(count: int) -> str:
    return "member 1" if count == 1 else f"members 1 to {count}"


def _next_job(rounds: Sequence[Round], blocks: Sequence[Block]) -> _Job | None:
    """What is fitted after these blocks; None at the end of the last round."""
    done = 0
    for number, each in enumerate(rounds):
        if done + each.candidates > len(blocks):
            taking_part = range(each.candidates) if number == 0 else _ranking(blocks[:done])[: each.candidates]
            return _Job(sorted(taking_part)[len(blocks) - done], each.first, each.end)
        done += each.candidates
    return None


def _ranking(blocks: Sequence[Block]) -> list[int]:
    """The candidates, the best first: those with more members before those with fewer, then by their loss."""
    candidates = sorted({block.candidate for block in blocks})
    return sorted(candidates, key=lambda index: (-_members(blocks, index), _loss(blocks, index), index))


def _members(blocks: Sequence[Block], candidate: int) -> int:
    return sum(block.end - block.first for block in blocks if block.candidate == candidate)


def _loss(blocks: Sequence[Block], candidate: int) -> float:
    """The mean out-of-fold loss over the members that the candidate fitted; folds have about the same size."""
    own = [block for block in blocks if block.candidate == candidate]
    return sum(block.loss * (block.end - block.first) for block in own) / _members(blocks, candidate)


def _work(plan: SearchPlan, job: _Job | Block) -> float:
    return plan.candidates[job.candidate].member_work * (job.end - job.first)
