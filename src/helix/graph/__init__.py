"""The graph: what a function or module computes, as data that can be read, changed, and run.

graph = helix.trace(model, helix.graph.Spec((helix.graph.Dim("B"), 784)))
print(graph)
y = graph(x)
"""

from ..errors import GraphError, TraceError
from .compiling import Compiled, compile
from .control import cond, scan, while_loop
from .estimating import Estimate, estimate, largest_batch
from .executor import Executor
from .files import from_json, load
from .gradient import grad
from .ir import Effect, Graph, Node, Value
from .passes import optimize
from .placement import place, split
from .retrace import infer
from .spec import Spec
from .symbols import Dim, Expr
from .tracing import trace
from .universal import UniversalGraph

__all__ = [
    "Compiled",
    "Dim",
    "Effect",
    "Estimate",
    "Executor",
    "Expr",
    "Graph",
    "GraphError",
    "Node",
    "Spec",
    "TraceError",
    "UniversalGraph",
    "Value",
    "compile",
    "cond",
    "estimate",
    "from_json",
    "grad",
    "infer",
    "largest_batch",
    "load",
    "optimize",
    "place",
    "scan",
    "split",
    "trace",
    "while_loop",
]
