"""`multiloss.port`: a loss of PyTorch, Keras or Optax, with the same numbers in another framework."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from multiloss.catalogue import get
from multiloss.engine import dispatch, registry
from multiloss.engine import loss as losses
from multiloss.porting import native, objects, parse
from multiloss.porting import variants as variants  # registers names such as keras.kl_divergence
from multiloss.porting.rows import RefusedError, Rows, Source

__all__ = ["RefusedError", "code", "port", "sources"]

_NONE = "{} has no loss with these numbers: this is multiloss's own"


@functools.cache
def sources() -> Rows:
    """Every loss of the three libraries, by canonical name."""
    from multiloss.porting import keras, optax, torch

    return torch.ROWS | keras.ROWS | optax.ROWS


def port(source: Any, to: str | None = None, *, targets: str = "labels") -> Any:
    """The loss of this library that gives the numbers of another library's loss.

    Args:
        source: a written form, "torch.nn.KLDivLoss(reduction='batchmean')", whose library need not be installed; or
            the object, class or function itself, or a `functools.partial` of it; or a loss of multiloss. The arrays
            that a function takes are left out of its written form.
        to: "numpy", "torch", "tensorflow", "jax" or "keras"; None takes it from the arrays at each call. Or a library,
            "torch.nn", "keras.losses" or "optax": the way back, to an object of its own.
        targets: what `y_true` will be, if the source takes both: integer "labels", or "probabilities".

    Returns:
        The loss of `multiloss.get`, which takes (y_true, y_pred), reduces as the source does and gives its values and
        gradients to float precision. `.source` is the written form, `.notes` the conventions that differ. For a
        library: its own object, which takes its arrays in its own order. If it has none with these options, the loss
        of multiloss in its framework, and the first of `.notes` says so.

    Raises:
        ValueError: no loss has this name (the nearest ones are told), or it cannot be ported exactly (the reason is).
        TypeError: an argument that the source does not have.

    Example:
        >>> import multiloss
        >>> loss = multiloss.port("optax.l2_loss", to="numpy")
        >>> loss([[0.0, 0.0]], [[1.0, 2.0]]).tolist()
        [[0.5, 2.0]]
    """
    if targets not in ("labels", "probabilities"):
        raise ValueError(f"targets must be 'labels' or 'probabilities', got {targets!r}")
    check_place(to)
    if to in native.LIBRARIES:
        ours = source if isinstance(source, losses.LossObject) else port(source, targets=targets)
        found_there = _native(ours, to)
        return found_there.build() if found_there else _none_there(ours, to)
    if isinstance(source, losses.LossObject):
        return source.to_backend(to)
    found, arguments = resolve(source)
    row = found.to_row(arguments, targets)
    ported = get(row.loss, backend=to, **row.options)
    ported.source, ported.notes = text_of(found, arguments), row.notes
    return ported


def check_place(to: Any) -> None:
    """ValueError if `to` is neither a backend nor a library."""
    known = [*dispatch.list_backends(), *native.LIBRARIES]
    if to is not None and to not in known:
        raise ValueError(f"to must be one of {', '.join(map(repr, known))}, got {to!r}")


def _native(ours: Any, library: str) -> native.Native | None:
    itself = native.from_source(ours.source, library, sources()) if ours.source else None
    return itself or native.find(ours.spec, library, sources())


def _none_there(ours: Any, library: str) -> Any:
    loss = ours.to_backend(native.LIBRARIES[library])
    loss.notes = (_NONE.format(library), *ours.notes)
    return loss


def code(source: Any, to: str | None = None, *, targets: str = "labels") -> tuple[str, tuple[str, ...]]:
    """The code that makes what `port` returns, and its notes.

    Args:
        source: as for `port`.
        to: as for `port`.
        targets: as for `port`.

    Returns:
        An expression, and the notes.

    Raises:
        ValueError: as for `port`.
        TypeError: as for `port`.

    Example:
        >>> from multiloss import porting
        >>> porting.code("torch.nn.MSELoss()", to="jax")[0]
        "multiloss.get('mean_squared_error', backend='jax', axis=())"
    """
    check_place(to)
    ours = source if isinstance(source, losses.LossObject) else port(source, targets=targets)
    if to in native.LIBRARIES:
        if found := _native(ours, to):
            return found.code, found.notes
        return _call(ours.spec, native.LIBRARIES[to]), (_NONE.format(to), *ours.notes)
    return _call(ours.spec, to), ours.notes


def _call(spec: losses.Spec, backend: str | None) -> str:
    usual = losses.make_spec(spec.name, {})
    given = {name: value for name, value in spec.own if value != usual.kwargs[name]}
    common = {
        name: getattr(spec, name) for name in ("reduction", "axis") if getattr(spec, name) != getattr(usual, name)
    }
    named = ({} if backend is None else {"backend": backend}) | given | common
    return f"multiloss.get({', '.join([repr(spec.name), *(f'{k}={v!r}' for k, v in named.items())])})"


def resolve(source: Any) -> tuple[Source, dict[str, Any]]:
    """The source loss that a written form or an object stands for, and its arguments by name."""
    known = sources()
    if isinstance(source, str):
        name, args, kwargs = parse.parse(source, arrays=True)
        found = known[parse.canonical(name, known)]
        return found, found.arguments(args, kwargs)
    identified = objects.identify(source, known)
    if identified is None:
        kind = source if isinstance(source, type) else type(source)
        raise ValueError(
            f"source must be a loss of torch.nn, keras.losses or optax.losses, or its written form; "
            f"got {kind.__module__}.{kind.__qualname__}"
        )
    name, kwargs = identified
    return known[name], known[name].arguments((), kwargs)


def text_of(source: Source, arguments: dict[str, Any]) -> str:
    """The written form of a source loss with these arguments."""
    usual = {name: parameter.default for name, parameter in source.parameters.items()}
    given = {name: _literal(value) for name, value in arguments.items()}
    listed = ", ".join(f"{name}={given[name]!r}" for name in usual if name in given and given[name] != usual[name])
    return f"{source.name}({listed})" if source.is_class or listed else source.name


def _literal(value: Any) -> Any:
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):
        value = value.numpy()
    if inspect.isroutine(value):  # `reduce_fn=jnp.mean`
        return value.__name__
    return value.tolist() if hasattr(value, "tolist") else value


def _advise(name: str) -> str | None:
    """What a name of another library is here: the loss itself, and the way that also takes its arguments."""
    if _last(name) == "loss":  # the base class of Keras' losses
        return None
    known = sources()
    alike = [full for full in known if full == parse.find(name, known) or _last(full) == _last(name)]
    told = []
    for full in alike[:2]:
        form = f"{full}()" if known[full].is_class else full
        try:
            told.append(f"{form} is {code(form)[0]}, as multiloss.port({form!r}) makes it")
        except (ValueError, TypeError) as error:  # it needs arguments, or is not ported
            told.append(f"for {full} there is multiloss.port, but: {error}")
    return "; ".join(told) or None


def _last(name: str) -> str:
    return name.rpartition(".")[2].lower()


registry.advise_by(_advise)
