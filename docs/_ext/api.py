"""Methods under the name that a reader has for their object, `loss.value_and_grad`, and not under that of a class of
ours: what `<!-- methods of loss -->` and its like become in a page.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import losses
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

from multiloss.center.objects import CenterMethods, HostCenter
from multiloss.engine.definition import Definition
from multiloss.engine.loss import LossObject
from multiloss_numpy.objects import NumpyLoss

_NAPOLEON = Config(napoleon_use_rtype=False, napoleon_preprocess_types=False)
METHODS: dict[str, list[tuple[type, tuple[str, ...]]]] = {
    "loss": [(NumpyLoss, ("__call__", "value_and_grad", "grad_and_hess")), (LossObject, ("config", "to_backend"))],
    "center": [
        (HostCenter, ("__call__", "value_and_grad", "update")),
        (CenterMethods, ("init_state", "step", "config", "to_backend", "save_centers", "load_centers")),
    ],
    "definition": [(Definition, ("gradient", "hessian", "__call__"))],
}
_MARKER = re.compile(r"<!-- methods of (\w+) -->")


def methods(name: str) -> str:
    """The methods of an object that readers call `name`."""
    parts = [_method(name, owner, method) for owner, names in METHODS[name] for method in names]
    return "```{eval-rst}\n" + "\n\n".join(parts) + "\n```"


def _method(name: str, owner: type, method: str) -> str:
    function = getattr(owner, method)
    signature = inspect.signature(function)
    kept = [p.replace(annotation=p.empty) for p in list(signature.parameters.values())[1:]]
    shown = str(signature.replace(parameters=kept, return_annotation=signature.empty))
    title = name if method == "__call__" else f"{name}.{method}"
    doc = losses.escaped(inspect.getdoc(function) or "")
    text = str(GoogleDocstring(doc, _NAPOLEON, what="method"))
    body = "\n".join(f"   {line}" if line.strip() else "" for line in text.splitlines())
    return f".. py:function:: {title}{shown}\n   :no-index:\n\n{body}"


def _source_read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = _MARKER.sub(lambda found: methods(found[1]), content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Hook into the reading of pages."""
    app.connect("source-read", _source_read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
