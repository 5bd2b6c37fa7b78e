"""Curves of error against parameters, and how those of KANs and MLPs compare."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.paper.experiment import Outcome
from benchmarks.paper.fits.exponent import before_saturation, power_law
from benchmarks.paper.medians import column, cpu_seconds, numbers


@dataclass(frozen=True)
class Curve:
    """Test errors of one contender over its grids or widths, in the target's unit.

    Attributes:
        parameters: The number of parameters for each grid or width, ascending.
        errors: For each of these the errors of the seeds.
        scale: Standard deviation of the target.
        chosen: For each seed the error where the validation error is lowest.
        relative: The same in standard deviations of the seed's training targets.
        seconds: Processor time as the table has it.
    """

    parameters: tuple[float, ...]
    errors: tuple[tuple[float, ...], ...]
    scale: float
    chosen: tuple[float, ...]
    relative: tuple[float, ...]
    seconds: str

    @property
    def medians(self) -> tuple[float, ...]:
        """Over the seeds."""
        return tuple(map(statistics.median, self.errors))

    @property
    def law(self) -> slice:
        """The points before saturation."""
        return before_saturation(self.parameters, [error / self.scale for error in self.medians])

    @property
    def exponent(self) -> float | None:
        """α of error ≈ C·N^-α before saturation; None if fewer than two points lie there."""
        law = self.law
        if len(self.parameters[law]) < 2:
            return None
        return power_law(self.parameters[law], self.medians[law])


def curve_of(outcomes: Sequence[Outcome]) -> Curve:
    """The curve of some seeds of one contender. Fits end after idle grids: points that some seed lacks are left out."""
    parameters, errors, validation = (
        [numbers(outcome, name) for outcome in outcomes] for name in ("parameters", "rmse", "validation")
    )
    count = min(map(len, parameters))
    chosen = tuple(
        test[min(range(len(test)), key=judged.__getitem__)] for test, judged in zip(errors, validation, strict=True)
    )
    scales = column(outcomes, "scale")
    return Curve(
        tuple(parameters[0][:count]),
        tuple(zip(*(values[:count] for values in errors), strict=True)),
        statistics.median(scales),
        chosen,
        tuple(error / scale for error, scale in zip(chosen, scales, strict=True)),
        cpu_seconds(outcomes),
    )


def lost_to(kans: Sequence[Curve], mlps: Mapping[str, Curve]) -> dict[str, int]:
    """For each MLP curve the number of its points that no KAN of as many parameters or fewer is below.

    Points with fewer parameters than the smallest KAN are not compared.
    """
    points = [point for kan in kans for point in zip(kan.parameters, kan.medians, strict=True)]
    lost = {}
    for name, curve in mlps.items():
        count = 0
        for parameters, error in zip(curve.parameters, curve.medians, strict=True):
            smaller = [own for own_parameters, own in points if own_parameters <= parameters]
            count += bool(smaller) and min(smaller) >= error
        lost[name] = count
    return lost
