"""Write an ONNX graph node by node. The name of each value tells its layer and its meaning ("layer0/silu")."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of the value it made.

    ``scope`` ("layer0") is the prefix of every name. Equal constants become one initializer. The same operator on the
    same inputs becomes one node.
    """

    def __init__(self, input_name: str, columns: int) -> None:
        self.scope = ""
        self._inputs = [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["rows", columns])]
        self._nodes: list[onnx.NodeProto] = []
        self._made: dict[tuple[object, ...], str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[TensorProto] = []
        self._used = {input_name}

    def add_input(self, name: str, rows: str, columns: int) -> None:
        """Add a further input, float32 ``[rows, columns]``; ``rows`` is the name of its first dimension."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, columns]))
        self._used.add(name)

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: float | Sequence[int] | TensorProto) -> str:
        """Add a standard operator with one output, unless the graph has the same operator on the same inputs.

        Args:
            kind: Operator type, such as "MatMul".
            inputs: Names of values.
            name: Name of the output, without the scope.
            **attributes: Attributes of the operator.

        Returns:
            The name of the output.
        """
        node = helper.make_node(kind, list(inputs), [], None, None, None, None, **attributes)
        key = (kind, *inputs, *(attribute.SerializeToString() for attribute in node.attribute))
        if key not in self._made:
            node.name = self._made[key] = self._unique(name)
            node.output.append(node.name)
            self._nodes.append(node)
        return self._made[key]

    def split(self, value: str, sizes: str, names: Sequence[str]) -> tuple[str, ...]:
        """Cut a value along its first axis into parts of these ``sizes``, int64 ``[parts]``; ``names`` names them."""
        parts = tuple(map(self._unique, names))
        self._nodes.append(helper.make_node("Split", [value, sizes], parts, name=f"{parts[0]}_split", axis=0))
        return parts

    def floats(self, values: object, name: str) -> str:
        """A float32 constant. Float64 values are rounded here, once; values too large for float32 become infinite."""
        with np.errstate(over="ignore"):
            return self.constant(np.asarray(values, dtype=np.float32), name)

    def integers(self, values: object, name: str) -> str:
        """An int64 constant."""
        return self.constant(np.asarray(values, dtype=np.int64), name)

    def constant(self, values: NDArray[np.generic], name: str) -> str:
        """A constant of the array's own type."""
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self._unique(name)
            self._initializers.append(numpy_helper.from_array(values, self._constants[key]))
        return self._constants[key]

    def build(
        self,
        outputs: Mapping[str, tuple[str, Sequence[int]]],
        name: str,
        metadata: Mapping[str, str],
        first_dimension: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """The model; :func:`check` says whether it is valid.

        Args:
            outputs: For each output's name its value and its shape without rows.
            name: Name of the graph.
            metadata: The model's metadata_props.
            first_dimension: The name of the first dimension of each output that has other rows than "rows".
        """
        first = first_dimension or {}
        self._rename_shared_constants()
        for output_name, (value, _) in outputs.items():
            self._rename(value, output_name)
        infos = [
            helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [first.get(output_name, "rows"), *shape])
            for output_name, (_, shape) in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, name, self._inputs, infos, self._initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="kan-serving",
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _rename_shared_constants(self) -> None:
        """Give constants that several layers read the prefix "shared" instead of one layer's."""
        self.scope = "shared"
        for tensor in self._initializers:
            scopes = {node.name.split("/")[0] for node in self._nodes if tensor.name in node.input}
            if len(scopes) > 1:
                name = self._unique(tensor.name.split("/")[-1])
                self._rename(tensor.name, name)
                tensor.name = name

    def _rename(self, value: str, output_name: str) -> None:
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == value:
                        names[place] = output_name

    def _unique(self, name: str) -> str:
        full = f"{self.scope}/{name}" if self.scope else name
        candidate, count = full, 1
        while candidate in self._used:
            count += 1
            candidate = f"{full}_{count}"
        self._used.add(candidate)
        return candidate


def check(model: onnx.ModelProto) -> None:
    """Check a model against the ONNX standard, shapes and types included.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: it is not valid.
    """
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def remove_last_node(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the last node: it answers what that node, such as a softmax, reads first."""
    shorter = copy.deepcopy(model)
    last = shorter.graph.node.pop()
    shorter.graph.output[0].name = last.input[0]
    return shorter
