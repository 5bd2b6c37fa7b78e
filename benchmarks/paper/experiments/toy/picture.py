"""Error against parameters as a picture."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.paper.experiments.toy.curves import Curve


def write_picture(path: Path, title: str, kans: Mapping[str, Curve], mlps: Mapping[str, Curve]) -> None:
    """Medians over the seeds on logarithmic axes, the spread as a band, and N^-4 beside the first KAN.

    Args:
        path: The SVG file.
        title: Of the picture.
        kans: Curves with full lines.
        mlps: Curves with broken lines.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    # The same file for the same curves; letters stay letters.
    with mpl.rc_context({"svg.hashsalt": "kan", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for curves, line in ((kans, "o-"), (mlps, "s--")):
            for name, curve in curves.items():
                drawn = axes.plot(curve.parameters, curve.medians, line, label=name, markersize=4)
                low, high = ([end(errors) for errors in curve.errors] for end in (min, max))
                axes.fill_between(curve.parameters, low, high, alpha=0.15, color=drawn[0].get_color(), linewidth=0)
        first = next(iter(kans.values()))
        law = first.law
        if len(first.parameters[law]) > 1:
            start, error = first.parameters[law][0], first.medians[law][0]
            axes.plot(
                first.parameters[law], [error * (n / start) ** -4 for n in first.parameters[law]], "k:", label="N⁻⁴"
            )
        axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test RMSE", title=title)
        # Numbers of less than two decades: matplotlib's own labels would write over each other.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None})
