"""Write an ONNX graph node by node, each value under a name that says which layer and what."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of the value it made.

    ``scope`` ("layer0") goes in front of the names given. Equal constants become one initializer.
    """

    def __init__(self, input_name: str, columns: int) -> None:
        self.scope = ""
        self._input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["rows", columns])
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[TensorProto] = []
        self._used = {input_name}

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: int) -> str:
        """Add one standard operator with one output called ``name``."""
        output = self._unique(name)
        self._nodes.append(helper.make_node(kind, list(inputs), [output], output, None, None, None, **attributes))
        return output

    def floats(self, values: object, name: str) -> str:
        """A float32 constant; what is given may be float64 and is rounded once, here."""
        return self._constant(np.asarray(values, dtype=np.float32), name)

    def integers(self, values: object, name: str) -> str:
        """An int64 constant."""
        return self._constant(np.asarray(values, dtype=np.int64), name)

    def build(
        self, result: str, output_name: str, columns: int, name: str, metadata: dict[str, str]
    ) -> onnx.ModelProto:
        """The checked model whose only output is the value ``result``, under ``output_name``.

        Raises:
            onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the graph is not valid.
        """
        last = next(node for node in self._nodes if result in node.output)
        last.output[list(last.output).index(result)] = output_name
        output = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["rows", columns])
        graph = helper.make_graph(self._nodes, name, [self._input], [output], self._initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="kan-serving",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _constant(self, values: NDArray[np.generic], name: str) -> str:
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self._unique(name)
            self._initializers.append(numpy_helper.from_array(values, self._constants[key]))
        return self._constants[key]

    def _unique(self, name: str) -> str:
        full = f"{self.scope}/{name}" if self.scope else name
        candidate, count = full, 1
        while candidate in self._used:
            count += 1
            candidate = f"{full}_{count}"
        self._used.add(candidate)
        return candidate
