"""Peers that compile what they run: JAX, eager and compiled, and ONNX Runtime. Forward of groups B and C."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import elementwise_inputs, expressions, product_inputs


class Jax:
    """JAX as installed: one compiled kernel for each operation."""

    name = "jax"
    environment: dict[str, str] = {}

    def __init__(self, threads: int) -> None:
        eigen = "true" if threads > 1 else "false"
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        self.jax = jax

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def build(self, workload: Any) -> Callable[[], Any] | None:
        group, rest = workload.id.split(".", 1)
        op, _, size = rest.rpartition("_")
        if group == "B" and op in expressions(self.jax.numpy):
            function, inputs = expressions(self.jax.numpy)[op], elementwise_inputs(size)
        elif group == "C" and rest.startswith("f32"):
            function, inputs = self.jax.numpy.matmul, product_inputs(rest)
        else:
            return None
        function, arrays = self.compiled(function), [self.jax.device_put(x) for x in inputs]
        return lambda: function(*arrays).block_until_ready()


class JaxCompiled(Jax):
    """JAX with the whole workload compiled as one."""

    name = "jax_jit"

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.jax.jit(function)  # type: ignore[no-any-return]


# (operator, inputs, output) in order; A, B, C are matrices, W a row, axes an attribute of sums
GRAPHS: dict[str, list[tuple[str, str, str]]] = {
    "add": [("Add", "A B", "Y")],
    "muladd": [("Mul", "A B", "T"), ("Add", "T C", "Y")],
    "addbias": [("Add", "A W", "Y")],
    "exp": [("Exp", "A", "Y")],
    "tanh": [("Tanh", "A", "Y")],
    "transpose": [("Transpose", "A", "Y")],
    "sum0": [("ReduceSum", "A axis0", "Y")],
    "sum1": [("ReduceSum", "A axis1", "Y")],
    "sumall": [("ReduceSum", "A", "Y")],
}


class Ort:
    """ONNX Runtime: a graph of a few nodes, with inputs and results bound to memory beforehand."""

    name = "ort"
    environment: dict[str, str] = {}

    def __init__(self, threads: int) -> None:
        import onnx
        import onnxruntime

        self.onnx, self.ort, self.threads = onnx, onnxruntime, threads

    def build(self, workload: Any) -> Callable[[], Any] | None:
        group, rest = workload.id.split(".", 1)
        op, _, size = rest.rpartition("_")
        if group == "B" and op in GRAPHS:
            return self._session(GRAPHS[op], dict(zip("ABCW", elementwise_inputs(size), strict=True)))
        if group == "C" and rest.startswith("f32"):
            return self._session([("MatMul", "A B", "Y")], dict(zip("AB", product_inputs(rest), strict=True)))
        return None

    def _session(self, graph: list[tuple[str, str, str]], inputs: dict[str, np.ndarray]) -> Callable[[], Any]:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        used = {name for _, names, _ in graph for name in names.split()}
        axes = [helper.make_tensor(f"axis{i}", kinds.INT64, [1], [i]) for i in (0, 1) if f"axis{i}" in used]
        inputs = {name: values for name, values in inputs.items() if name in used}
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node(op, names.split(), [result]) for op, names, result in graph],
                "workload",
                [helper.make_tensor_value_info(n, kinds.FLOAT, v.shape) for n, v in inputs.items()],
                [helper.make_tensor_value_info("Y", kinds.FLOAT, None)],
                axes,
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = self.ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, values in inputs.items():
            binding.bind_ortvalue_input(name, self.ort.OrtValue.ortvalue_from_numpy(values))
        binding.bind_output("Y")
        return lambda: session.run_with_iobinding(binding)
