"""The formula of a version as HTML, with its error beside the network's."""

from collections.abc import Iterator

from kan_api.metric_names import is_nearer, shown_name
from kan_api.v1.manifest_pb2 import ModelManifest
from training.publishing.manifest import output_names
from training.report.page import folded, number, paragraph, section, table, verbatim


def formula_section(manifest: ModelManifest, latex: str) -> str:
    """The formula that is served, or the one beside the network, below a heading; "" if there is none.

    Args:
        manifest: Has the formula.
        latex: The served formula as LaTeX, to be copied.
    """
    return section("The formula", _parts(manifest, latex))


def _parts(manifest: ModelManifest, latex: str) -> Iterator[str]:
    details = manifest.formula_details
    if details.text and not details.served:
        yield paragraph("A formula that was fitted to the network; the version answers by the network:")
        outputs = output_names(manifest.classes, manifest.target, len(details.text), manifest.targets)
        yield verbatim("\n".join(f"{name} = {text}" for name, text in zip(outputs, details.text, strict=False)))
        latex = "\n".join(details.latex)
    else:
        yield verbatim(manifest.formula)
    if latex:
        yield folded("its right-hand side as LaTeX", verbatim(latex))
    yield from _errors(manifest)


def _errors(manifest: ModelManifest) -> Iterator[str]:
    """Both errors side by side."""
    details = manifest.formula_details
    names = sorted({*details.formula_metrics, *details.network_metrics})
    if not names:
        return
    which = {"the formula": details.formula_metrics, "the network of splines": details.network_metrics}
    rows = [
        [
            f"{name}{' (served)' if details.served == (name == 'the formula') else ''}",
            *(number(of.get(n)) for n in names),
        ]
        for name, of in which.items()
    ]
    yield table(["test rows", *(shown_name(name.removeprefix("test_")) for name in names)], rows)
    if details.r2_to_network:
        close = ", ".join(f"{value:.4f}" for value in details.r2_to_network)
        text = f"R² of the formula against the network's answers to the test rows: {close}."
        if is_nearer(details.formula_metrics, details.network_metrics):
            text += " The formula is nearer to the rows than the network, so a low R² here says nothing against it."
        yield paragraph(text)
