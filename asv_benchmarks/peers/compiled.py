"""Peers that compile what they run: JAX, eager and compiled, and ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .graphs import Graph, graph_of
from .traced import function_of
from .trained import stepper_of


class Jax:
    """JAX as installed: one compiled kernel for each operation. Gradients, which it takes of whole functions, it leaves out."""

    name = "jax"
    environment: dict[str, str] = {}
    gradients = False

    def __init__(self, threads: int) -> None:
        eigen = "true" if threads > 1 else "false"
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        self.jax = jax

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def build(self, workload: Any) -> Callable[[], Any] | None:
        found = function_of(self.jax, workload.id, self.gradients)
        if found is None:
            return None
        function, arrays = self.compiled(found[0]), [self.jax.device_put(x) for x in found[1]]
        return lambda: self.jax.block_until_ready(function(*arrays))


class JaxCompiled(Jax):
    """JAX with the whole workload compiled as one."""

    name = "jax_jit"
    gradients = True

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.jax.jit(function)  # type: ignore[no-any-return]

    def build(self, workload: Any) -> Callable[[], Any] | None:
        return stepper_of(self.jax, workload.id) or super().build(workload)


class Ort:
    """ONNX Runtime: a graph of a few nodes, with inputs and results bound to memory beforehand."""

    name = "ort"
    environment: dict[str, str] = {}

    def __init__(self, threads: int) -> None:
        import onnx
        import onnxruntime

        self.onnx, self.ort, self.threads = onnx, onnxruntime, threads

    def build(self, workload: Any) -> Callable[[], Any] | None:
        graph = graph_of(workload.id)
        return self._session(graph) if graph else None

    def _session(self, graph: Graph) -> Callable[[], Any]:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        used = {name for node in graph.nodes for name in node.inputs.split()}
        inputs = {name: values for name, values in graph.inputs.items() if name in used}
        constants = {name: values for name, values in graph.constants.items() if name in used}
        result = kinds.BFLOAT16 if graph.nodes[-1].attributes.get("to") == kinds.BFLOAT16 else kinds.FLOAT
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node(n.op, n.inputs.split(), [n.output], **n.attributes) for n in graph.nodes],
                "workload",
                [helper.make_tensor_value_info(n, kinds.FLOAT, v.shape) for n, v in inputs.items()],
                [helper.make_tensor_value_info("Y", result, None)],
                [self.onnx.numpy_helper.from_array(v, n) for n, v in constants.items()],
            ),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=9,
        )
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = self.ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, values in inputs.items():
            binding.bind_ortvalue_input(name, self.ort.OrtValue.ortvalue_from_numpy(values))
        binding.bind_output("Y")
        return lambda: session.run_with_iobinding(binding)
