"""One loss, the same numbers in PyTorch, TensorFlow, JAX, Keras and NumPy.

    loss = multiloss.get("huber", backend="torch", delta=2.0)
    value = loss(y_true, y_pred)

Importing this package imports no framework.
"""

import contextlib
import importlib
import sys

from multiloss import definitions as definitions  # fills the registry
from multiloss import info
from multiloss.catalogue import list_losses
from multiloss.comparing import compare
from multiloss.engine import objects as _objects
from multiloss.engine.dispatch import list_backends
from multiloss.engine.registry import register
from multiloss.functions import fenchel_young, log_softmax, logsumexp, smooth_labels, softmax, triplet_margin
from multiloss.pictures import show
from multiloss.typing import from_config, get, get_by_name, objective, port  # with overloads, for type checkers
from multiloss.version import __version__

__all__ = [
    "__version__",
    "compare",
    "fenchel_young",
    "from_config",
    "get",
    "get_by_name",
    "info",
    "list_backends",
    "list_losses",
    "log_softmax",
    "logsumexp",
    "objective",
    "port",
    "register",
    "show",
    "smooth_labels",
    "softmax",
    "triplet_margin",
]

# What notebooks show of an object is drawn by a room that is imported when that is asked for.
_objects.show_by(lambda thing, page: importlib.import_module("multiloss.pictures.notebook").show(thing, page))

if sys.modules.get("keras") is not None:  # models that were saved with our losses can be loaded now
    with contextlib.suppress(Exception):  # `backend="keras"` says what is wrong with this Keras
        importlib.import_module("multiloss.keras")
