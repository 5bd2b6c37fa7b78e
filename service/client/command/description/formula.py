"""The formula of a model as text and as LaTeX, with its error beside the network's."""

from collections.abc import Iterable, Iterator, Mapping

from kan_api.metric_names import is_nearer, shown_name
from kan_api.v1.manifest_pb2 import Formula, ModelManifest

# Longer formulas are not printed: nobody reads them in a terminal.
_MOST_CHARACTERS = 2000


def formula_lines(manifest: ModelManifest) -> Iterator[str]:
    r"""The lines on the formula, each with its "\n"; none if there is no formula.

    Args:
        manifest: of the model.
    """
    details = manifest.formula_details
    names = list(manifest.classes) or list(manifest.targets) or [manifest.target or "answer"]
    if not details.text:
        if manifest.formula:  # A version that an older kan-train published.
            yield "\nformula, which the model computes:\n"
            yield from _indent(manifest.formula.splitlines())
        return
    which = "which the model computes" if details.served else "fitted to the network, which answers"
    yield f"\nformula, {which}:\n"
    scores = "scores before the softmax, " if manifest.classes else ""
    yield from _indent([f"{name} = {text}" for name, text in zip(names, details.text, strict=False)])
    yield f"\nLaTeX ({scores}in raw units):\n"
    yield from _indent(details.latex)
    yield from _errors(details)


def _indent(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        text = " ".join(line.split())
        long = len(text) > _MOST_CHARACTERS
        yield f"  {f'{len(text):,} characters; GetModel has them' if long else text}\n"


def _errors(details: Formula) -> Iterator[str]:
    yield "\n"
    if details.r2_to_network and not is_nearer(details.formula_metrics, details.network_metrics):
        yield f"R² against the network: {', '.join(f'{value:.4f}' for value in details.r2_to_network)}\n"
    for who, metrics in (("formula", details.formula_metrics), ("network", details.network_metrics)):
        if metrics:
            yield f"{who} on the test rows: {_scores(metrics)}\n"


def _scores(metrics: Mapping[str, float]) -> str:
    shown = {shown_name(name.removeprefix("test_")): value for name, value in sorted(metrics.items())}
    return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
