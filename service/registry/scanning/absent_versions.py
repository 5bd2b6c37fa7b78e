"""Versions that the settings select by number and that are not in the repository: nothing else would tell of them."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from service.metrics.metrics import Metrics
from service.registry.entries import Entries
from service.registry.naming import join_some
from service.registry.scanning.listing import Listing
from service.settings.version_policy import VersionPolicy

_log = logging.getLogger(__name__)

# The reason in kan_model_refused_total. To callers and to alerts such a version is one that was refused.
ABSENT: Final = "absent"


@dataclass(frozen=True)
class Absence:
    """Versions of one model that are selected and absent.

    Attributes:
        model: Its name.
        absent: Those versions, sorted.
        there: Its versions in the repository, sorted.
        answers: The version that answers all the same, from memory; None without one.
    """

    model: str
    absent: Sequence[int]
    there: Sequence[int]
    answers: int | None = None


def absences(
    policy: VersionPolicy, there: Callable[[str], Collection[int]], latest: Callable[[str], int | None]
) -> Iterator[Absence]:
    """The models of which the settings select a version that is absent.

    Args:
        policy: Which versions may be served.
        there: Gives the versions of a model that are in the repository.
        latest: Gives the version of a model that answers; None without one.
    """
    for model, selected in sorted(policy.selected().items()):
        known = sorted(there(model))
        if absent := sorted(selected.difference(known)):
            yield Absence(model, absent, known, latest(model) if selected.isdisjoint(known) else None)


def explain(absence: Absence, policy: VersionPolicy) -> str:
    """What is selected and absent, what is there, and what answers, for an operator."""
    one, gone = len(absence.absent) == 1, absence.answers in absence.absent
    which = f"version{'s' * (not one)} {join_some([*absence.absent])}, which the settings select,"
    state = f"{'is' if one else 'are'} not in the repository{' any more (withdrawn?)' * gone}"
    known = f"there is {join_some([*absence.there])}" if absence.there else "no version of this model is there"
    end = ""
    if absence.answers is not None:
        end = f"; version {absence.answers} answers until the server ends: select a version that is there"
    elif not policy.wanted(absence.model, absence.there)[0]:
        end = "; the model does not answer"
    return f"model {absence.model}: {which} {state}; {known}{end}"


class AbsentVersions:
    """Warns of such versions once, and again after a change. The metrics show them for as long as they are absent.

    Used on one event loop.

    Args:
        entries: The versions that answer.
        listing: The versions in the repository, and which of them the settings select.
        metrics: Show an absent version as one that was refused, unless it answers from memory.
    """

    def __init__(self, entries: Entries, listing: Listing, metrics: Metrics) -> None:
        self._entries = entries
        self._listing = listing
        self._metrics = metrics
        self._told: dict[str, tuple[Sequence[int], int | None]] = {}
        self._shown: set[tuple[str, int]] = set()

    def tell(self) -> None:
        """Warn of what has changed since the last call. Call it when a search of the repository has ended."""
        policy, told = self._listing.policy, self._told
        self._told = {}
        unanswered: set[tuple[str, int]] = set()
        for absence in absences(policy, self._listing.of, self._latest):
            model = absence.model
            unanswered |= {(model, version) for version in absence.absent if not self._is_known(model, version)}
            self._told[model] = (absence.absent, absence.answers)
            # Succession warns of a model that answers and of which no version is left.
            if self._told[model] != told.get(model) and (absence.there or absence.answers is None):
                _log.warning("%s", explain(absence, policy), extra={"once": True})
        self._show(unanswered)

    def why_unserved(self, model: str) -> str:
        """Why a model that is in the repository has no version that may be served; "" for every other model."""
        there = self._listing.of(model)
        if not there or self._listing.wanted(model)[0]:
            return ""
        selected = join_some(sorted(self._listing.policy.selected()[model]))
        return f"the server's settings select version {selected}; the repository has {join_some(sorted(there))}"

    def _show(self, absent: set[tuple[str, int]]) -> None:
        """Show these versions as refused, and others no longer."""
        for model, version in absent - self._shown:
            self._metrics.model_refused(model, version, ABSENT)
        for model, version in self._shown - absent:
            if not self._is_known(model, version):  # else its load, which has begun, shows how it is
                self._metrics.model_retired(model, version)
        self._shown = absent

    def _is_known(self, model: str, version: int) -> bool:
        return version in self._entries.of(model)

    def _latest(self, model: str) -> int | None:
        latest = self._entries.latest(model)
        return None if latest is None else latest.version
