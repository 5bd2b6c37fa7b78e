"""A language model as torch.onnx exports it."""

import logging
import warnings

import onnx
import torch

from benchmarks.paper.language.network import LanguageModel


def export(network: LanguageModel) -> onnx.ModelProto:
    """The module exported by torch.onnx, for any number of sequences of any length."""
    # Hide warnings on the exporter's own deprecations and on a missing torchvision.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    sequence = torch.export.Dim("sequence", min=2, max=network.shape.context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(2, 7, dtype=torch.int64),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch"), 1: sequence},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto
