"""Losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss import definitions
from multiloss.engine import loss, registry
from multiloss.engine.definition import Definition


def get(name: str | Definition, backend: str | None = None, **options: Any) -> Any:
    """A loss by name, native to a framework.

    Args:
        name: canonical name or alias, such as "huber" or "mse"; `multiloss.list_losses()` has all. Or what
            `multiloss.register` made.
        backend: "numpy", "torch", "tensorflow", "jax" or "keras"; None takes it from the arrays at each call.
        options: the loss's own options, and those of every loss: `reduction` ("mean", "weighted_mean", "sum",
            "batchmean", "none"), `axis` (int, tuple, None for all, () for single elements), `validate` (None: the
            first call checks the values' domain; True: each call; False: none, labels included).

    Returns:
        The native object of the framework: in torch an `nn.Module`, in keras a `keras.losses.Loss`, in jax, tensorflow
        and numpy a callable. Each takes `(y_true, y_pred, sample_weight=None, mask=None)` and has `value_and_grad`,
        `grad_and_hess`, `config` and `to_backend`.

    Raises:
        ValueError: unknown name or backend (with the nearest names), or an option out of range.
        TypeError: an unknown option.
        ImportError: the framework is not installed (names the extra).

    Example:
        >>> import multiloss
        >>> huber = multiloss.get("huber", backend="numpy", delta=2.0)
        >>> float(huber([0.0, 0.0], [1.0, 5.0]))
        4.25
        >>> multiloss.get(**huber.config()) == huber
        True
    """
    if isinstance(name, str) and name.strip().lower() in registry.CENTER:
        from multiloss import center

        if "loss" in options:
            raise TypeError(f"{name} has no option 'loss': the loss is the first argument of multiloss.get")
        return center.make(backend, {**options, "loss": registry.CENTER[name.strip().lower()]})
    return loss.make(loss.make_spec(name, options), backend)


def get_by_name(name: str, backend: str | None = None, **options: Any) -> Any:
    """`get`, for a name or a backend that only the running program knows.

    `get` itself is typed: a type checker reports `multiloss.get("hubre")`, and so it must know the name. This function
    takes any `str`. What it makes is the same, and so are its errors.

    Args:
        name: as for `get`, such as one that was read from a file or the command line.
        backend: as for `get`, or the backend of another package.
        options: as for `get`.

    Returns:
        What `get` returns.

    Example:
        >>> import multiloss
        >>> for name in ("mse", "mae"):
        ...     print(float(multiloss.get_by_name(name, backend="numpy")([0.0, 0.0], [1.0, 5.0])))
        13.0
        3.0
    """
    return get(name, backend, **options)


def from_config(config: Mapping[str, Any], backend: str | None = None) -> Any:
    """The loss that `loss.config()` describes, on the backend that it names or on another one.

    Args:
        config: "name", and perhaps "backend" and options; `config()` of a loss, also read back from JSON.
        backend: the backend, if it shall not be that of `config`.

    Returns:
        What `get` returns.

    Raises:
        ValueError: the config has no "name", or as for `get`.

    Example:
        >>> import multiloss
        >>> huber = multiloss.get("huber", backend="numpy", delta=2.0)
        >>> multiloss.from_config(huber.config()) == huber
        True
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"a config is a dict, as loss.config() gives it, got {type(config).__name__}")
    if "name" not in config:
        raise ValueError(f"a config holds the 'name' of a loss, got {', '.join(map(repr, config)) or 'nothing'}")
    chosen = {} if backend is None else {"backend": backend}
    return get(**{**config, **chosen})


def list_losses() -> list[str]:
    """The canonical names of all losses, sorted.

    Example:
        >>> import multiloss
        >>> "huber" in multiloss.list_losses()
        True
    """
    return sorted({*registry.names(), *registry.CENTER.values()})


def definition(name: str) -> Definition:
    """The definition of a loss by its name or alias, also of one that holds centers."""
    table = registry.CENTER.get(name.strip().lower())
    return registry.find(name) if table is None else registry.TABLES[table]


def tasks(name: str) -> tuple[str, ...]:
    """What a loss is for, the commonest task first; `multiloss.definitions.TASKS` says what each task is.

    A loss that was registered by `multiloss.register` has no task.

    Example:
        >>> from multiloss import catalogue
        >>> catalogue.tasks("huber")
        ('regression',)
        >>> catalogue.tasks("center")
        ('metric learning', 'classification')
    """
    found = definition(name)
    return definitions.OF_A_LOSS.get(found.name, definitions.FAMILIES.get(found.family, ()))


def troubles(name: str) -> tuple[str, ...]:
    """What a loss was made to help with, such as outliers or imbalanced classes; most losses: with nothing special.

    Example:
        >>> from multiloss import catalogue
        >>> catalogue.troubles("huber")
        ('outliers',)
    """
    found = definition(name).name
    return tuple(trouble for trouble, losses in definitions.TROUBLES.items() if found in losses)
