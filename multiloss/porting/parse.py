"""Reads written forms, such as "torch.nn.KLDivLoss(reduction='batchmean')". They are parsed, never evaluated."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from multiloss.engine import registry

SHORT = {
    "torch.nn.modules.loss": "torch.nn",
    "nn.functional": "torch.nn.functional",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "tf.keras.losses": "keras.losses",
    "tensorflow.keras.losses": "keras.losses",
    "keras.api.losses": "keras.losses",
    "keras.api._v2.keras.losses": "keras.losses",
    "tf_keras.losses": "keras.losses",
    "tf.losses": "keras.losses",
    "tensorflow.losses": "keras.losses",
    "optax": "optax.losses",
}
"""Other names that a module is written with."""
_KERAS = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Short names of `tf.keras.losses`, which are there in capitals, too."""
_ARRAYS = ("tensor", "Tensor", "FloatTensor", "array", "asarray", "constant", "convert_to_tensor", "as_tensor")
_REDUCTION = re.compile(r"^(?:\w+\.)*Reduction(?:V2)?\.(AUTO|NONE|SUM|SUM_OVER_BATCH_SIZE)$")
"""How Keras 2 writes reductions."""
_REDUCING = ("mean", "sum", "reduce_mean", "reduce_sum")
_LONGEST = 10_000
_MOST_NEAR = 5
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_MOST_BITS = 4096
"""The longest power of integers that is computed; a longer one would take long."""


class Expression(str):
    """The text of an argument that is not evaluated, such as a variable: only one of a loss's arrays may be one."""


def parse(text: str, *, arrays: bool = False) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The dotted name of a written form, and its arguments by place and by name.

    Arguments are literals, arithmetic of numbers (`80 - 1`), or these in a call that makes an array of them
    (`torch.tensor([1 / 9, 8 / 9])`). With `arrays` others come back as an `Expression`, and in
    `torch.nn.MSELoss()(x, y)` the first call is the written form.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a written form has at most {_LONGEST} characters, got {len(text)}")
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"not a dotted name with arguments, such as torch.nn.HuberLoss(delta=2.0): {text!r}") from None
    if isinstance(node, ast.Call) and (inner := _reduced(node)) is not None:
        raise ValueError(
            f"write the loss alone, {text_of(inner)!r}: its mean or sum is an option here, as in "
            f"multiloss.get(..., reduction='mean')"
        )
    if arrays and isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
        node = node.func
    read = _literal_or_text if arrays else literal
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    if isinstance(node, ast.Call):
        for i, argument in enumerate(node.args, 1):
            arguments.append(read(argument, f"argument {i}"))
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError("a written form takes no **arguments: write each out")
            if keyword.arg in keywords:
                raise ValueError(f"{keyword.arg} is given twice")
            keywords[keyword.arg] = read(keyword.value, keyword.arg)
        node = node.func
    return dotted(node), tuple(arguments), keywords


def _reduced(node: ast.Call) -> ast.expr | None:
    """The loss in `loss(x, y).mean()` or `jnp.mean(loss(x, y))`."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _REDUCING:
        return None
    values = [node.func.value, *node.args[:1]]
    return next((one for one in values if isinstance(one, ast.Call)), None)


def dotted(node: ast.expr) -> str:
    """The dotted name that an expression is; ValueError if it is none."""
    parts, inner = [], node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        raise ValueError(f"not a dotted name such as torch.nn.HuberLoss: {text_of(node)!r}")
    return ".".join([inner.id, *reversed(parts)])


def text_of(node: ast.AST) -> str:
    """The start of an expression's text."""
    try:
        return ast.unparse(node)[:200]
    except RecursionError:
        return "an expression that is nested too deeply"
    except ValueError:  # Python's own limit of digits
        return "a number of too many digits"


def _literal_or_text(node: ast.expr, name: str) -> Any:
    try:
        return literal(node, name)
    except ValueError:
        return Expression(text_of(node))


def literal(node: ast.expr, name: str, constants: Mapping[str, ast.expr] | None = None) -> Any:
    """The number, string, bool, None, list, tuple or dictionary of an expression; names may stand for `constants`."""
    inner = node
    if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Attribute | ast.Name):
        maker = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if maker in _ARRAYS and all(keyword.arg == "dtype" for keyword in node.keywords):
            inner = node.args[0]
    if isinstance(node, ast.Attribute) and (reduction := _REDUCTION.search(text_of(node))):
        return reduction[1].lower()
    try:
        return _constant(inner, constants or {})
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        raise not_literal(name, text_of(node)) from None


def not_literal(name: str, text: str) -> ValueError:
    """The error about an option that is an expression."""
    return ValueError(f"{name} must be a literal, got {text!r}, which is not evaluated")


def _constant(node: ast.expr, constants: Mapping[str, ast.expr]) -> Any:
    if isinstance(node, ast.Name) and node.id in constants:
        others = {name: value for name, value in constants.items() if name != node.id}
        return _constant(constants[node.id], others)
    if isinstance(node, ast.List | ast.Tuple):
        items = [_constant(item, constants) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _number(node.operand, constants)
        return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _number(node.left, constants), _number(node.right, constants)
        if isinstance(node.op, ast.Pow) and isinstance(left, int) and abs(right) * left.bit_length() > _MOST_BITS:
            raise ValueError
        result = _ARITHMETIC[type(node.op)](left, right)
        if isinstance(result, complex):
            raise ValueError
        return result
    value = ast.literal_eval(node)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError
    return value


def _number(node: ast.expr, constants: Mapping[str, ast.expr]) -> Any:
    value = _constant(node, constants)
    if type(value) not in (int, float):
        raise ValueError
    return value


def canonical(name: str, known: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> str:
    """The canonical name of a source loss; ValueError with the nearest names if there is none.

    `aliases` are the names that a source file imports modules and losses as.
    """
    found = find(name, known, aliases)
    if found is None:
        if name.startswith("multiloss."):
            raise ValueError(f"{name!r} is of this library: call it, no written form of it is ported")
        raise ValueError(f"no loss of PyTorch, Keras or Optax is called {name!r}{_near(name, known)}")
    return found


def find(name: str, known: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> str | None:
    """The same, or None; looking for the nearest names would take most of the time of a scan."""
    for spelling in _spellings(name, aliases or {}):
        if spelling in known:
            return spelling
        module, _, last = spelling.rpartition(".")
        if module == "keras.losses" and last in (last.lower(), last.upper()) and last.lower() in _KERAS:
            return f"{module}.{_KERAS[last.lower()]}"
    return None


def _spellings(name: str, aliases: Mapping[str, str]) -> Iterable[str]:
    """The name itself, and with its first parts replaced by the module that they are short for."""
    for short, long in sorted(aliases.items(), key=lambda item: -len(item[0])):
        if name == short or name.startswith(short + "."):  # an import hides other meanings of the name
            name = long + name[len(short) :]
            break
    yield name
    for short, long in sorted(SHORT.items(), key=lambda item: -len(item[0])):
        if name.startswith(short + "."):
            yield long + name[len(short) :]


def _near(name: str, known: Mapping[str, Any]) -> str:
    """The names that are meant, those with the same letters first, and of these those of the same library."""
    modules = {one.rpartition(".")[0] for one in known}
    spellings = list(_spellings(name, {}))
    full = next((one for one in spellings if one.rpartition(".")[0] in modules), spellings[-1])
    module, _, last = full.rpartition(".")
    key = registry.letters(last)
    ends: dict[str, list[str]] = {}
    for one in known:
        ends.setdefault(registry.letters(one.rpartition(".")[2]), []).append(one)
    alike = [*([f"keras.losses.{_KERAS[key]}"] if key in _KERAS else []), *ends.get(key, [])]
    called = [word.partition(" ")[0] for word in registry.meant(last)] + [_last(known[one].usual_loss) for one in alike]
    alike += [one for loss in called for one, source in known.items() if loss and _last(source.usual_loss) == loss]
    library = module.partition(".")[0]
    near = sorted(alike, key=lambda one: (not one.startswith(module + "."), not one.startswith(library + ".")))
    if not any(one.startswith(library + ".") for one in near):
        ported = {one.rpartition(".")[2]: one for one in reversed([*known]) if known[one].refusal is None}
        near += [ported[one] for one in difflib.get_close_matches(last, ported, 4, 0.75)]
        ends = {end: of for end, of in ends.items() if known[of[0]].refusal is None}
        near += [one for end in difflib.get_close_matches(key, ends, 4, 0.6) for one in ends[end]]
    return f"; did you mean {', '.join(list(dict.fromkeys(near))[:_MOST_NEAR])}?" if near else ""


def _last(name: str | None) -> str:
    """The name of a loss without the library whose formula it is."""
    return (name or "").rpartition(".")[2]
