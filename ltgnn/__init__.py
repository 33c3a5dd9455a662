"""ltgnn: linear-time graph neural networks for recommendation.

The way through: `ltgnn.data.load` -> `ltgnn.graph.BipartiteGraph` -> `ltgnn.models.create` ->
`ltgnn.training.Trainer` -> `ltgnn.evaluation.evaluate`; underneath, the operators of `ltgnn.ops`.
"""

from pkgutil import extend_path

# From a source checkout `import ltgnn` finds the sources here and the compiled modules in the installed
# package: both folders are searched, this one first.
__path__ = extend_path(__path__, __name__)

from ltgnn import data, evaluation, graph, models, ops, training  # noqa: E402
from ltgnn._version import __version__  # noqa: E402

__all__ = ["__version__", "data", "evaluation", "graph", "models", "ops", "training"]
