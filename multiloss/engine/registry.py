"""Which loss a name means, its aliases, and the error for a name that means none."""

from __future__ import annotations

import copyreg
import difflib
import inspect
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any

from multiloss.engine import options as read
from multiloss.engine.definition import Definition, Function

CENTER: dict[str, str] = {}
"""The names and aliases of losses with a table, which no other loss may have: `multiloss.center` makes these losses."""
TABLES: dict[str, Definition] = {}
"""Those losses by their canonical names."""

_definitions: dict[str, Definition] = {}
_aliases: dict[str, str] = {}
_finders: list[Callable[[str], Definition | None]] = []
_advisers: list[Callable[[str], str | None]] = []

# A name that means several losses is never guessed.
_AMBIGUOUS = dict.fromkeys(
    ("cross_entropy", "crossentropy", "ce", "softmax_cross_entropy", "log_loss"),
    ("categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy"),
)

# No losses, but names that users look for in `get`.
_ELSEWHERE = {
    "fenchel_young": "a function of a function: multiloss.fenchel_young(max_fun, scores, targets)",
    "smooth_labels": "a function of targets: multiloss.smooth_labels(y_true, smoothing)",
    "pos_weight": "an option of binary_crossentropy",
}

# What users call losses, with the name here. No aliases: in other libraries such a name is a loss of other numbers.
_WORDS: dict[str, tuple[str, ...]] = {
    "angular": ("arcface", "sphereface"),
    "am_softmax": ("cosface",),
    "bce_logits": ("binary_crossentropy (with from_logits=True)",),
    "bce_with_logits": ("binary_crossentropy (with from_logits=True)",),
    "binary_logistic": ("binary_crossentropy (with from_logits=True)",),
    "brier": ("mean_squared_error",),
    "clip": ("info_nce",),
    "contrastive_learning": ("ntxent", "info_nce", "supervised_contrastive"),
    "cosine": ("cosine_similarity", "cosine_distance", "cosine_embedding"),
    "deviance": ("poisson", "tweedie"),
    "dice_coefficient": ("dice",),
    "earth_mover": ("wasserstein_1d",),
    "emd": ("wasserstein_1d",),
    "entropy": ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"),
    "focal": ("binary_focal_crossentropy", "categorical_focal_crossentropy", "sparse_categorical_focal_crossentropy"),
    "infonce": ("info_nce",),
    "gce": ("generalized_cross_entropy",),
    "intersection_over_union": ("jaccard", "lovasz_softmax"),
    "iou": ("jaccard", "lovasz_softmax"),
    "l1": ("mean_absolute_error",),
    "l2": ("mean_squared_error", "half_squared_error"),
    "label_smoothing": ("categorical_crossentropy (with label_smoothing=)",),
    "label_smoothing_cross_entropy": ("categorical_crossentropy (with label_smoothing=)",),
    "logistic": ("binary_crossentropy (with from_logits=True)", "soft_margin"),
    "mean_absolute": ("mean_absolute_error",),
    "mean_squared": ("mean_squared_error",),
    "mean_tweedie_deviance": ("tweedie",),
    "mle": ("nll", "gaussian_nll"),
    "negative_log_likelihood": ("nll", "gaussian_nll", "poisson_nll"),
    "nce": ("info_nce",),
    "neg_log": ("nll",),
    "neg_log_likelihood": ("nll", "gaussian_nll", "poisson_nll"),
    "normalized_softmax": ("cosface",),
    "npair": ("info_nce", "multi_similarity"),
    "ordinal": ("ranknet", "wasserstein_1d"),
    "pairwise_ranking": ("margin_ranking", "ranknet"),
    "pinball": ("quantile",),
    "poly1": ("poly_cross_entropy", "sparse_poly_cross_entropy"),
    "rank": ("margin_ranking", "ranknet", "listnet"),
    "sigmoid": ("binary_crossentropy (with from_logits=True)",),
    "simclr": ("ntxent",),
    "softmax": ("sparse_categorical_crossentropy", "categorical_crossentropy"),
    "supcon": ("supervised_contrastive",),
    "svm": ("hinge", "multiclass_hinge"),
    "wasserstein": ("wasserstein_1d",),
    "weighted_bce": ("binary_crossentropy (with pos_weight=)",),
    "weighted_cross_entropy": (
        "categorical_crossentropy (with class_weight=)",
        "sparse_categorical_crossentropy (with class_weight=)",
    ),
    "xent": ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"),
    "xentropy": ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"),
}

# Names of options in other libraries, with the name here.
_OF_OWNERS = ("num_classes", "feature_dim", "in_features", "out_features", "embedding_size", "bias")
"""Options of modules that own the weight of a loss."""
_FOREIGN_OPTIONS = {
    "ignore_class": "ignore_index",
    "where": "mask, given to the call",
    "size_average": "reduction",
    "reduce": "reduction",
    "dim": "axis",
    "eps": "epsilon",
    "smoothing": "label_smoothing",
    "weight": "class_weight, or sample_weight, given to the call",
    "sample_weight": "sample_weight, given to the call",
    "mask": "mask, given to the call",
}


def look_in(finder: Callable[[str], Definition | None]) -> None:
    """Ask `finder` for names that are unknown here: formulas of other libraries (`porting`, in a room above)."""
    _finders.append(finder)


def advise_by(adviser: Callable[[str], str | None]) -> None:
    """Ask `adviser` what an unknown name may mean: losses of other libraries."""
    _advisers.append(adviser)


def add_table(definition: Definition) -> None:
    """Register a loss with a table."""
    TABLES[definition.name] = definition
    CENTER.update(dict.fromkeys((definition.name, *definition.aliases), definition.name))


def add(definition: Definition, *, replace: bool = False) -> Definition:
    """Register a definition under its name and aliases. A taken name is an error unless `replace`."""
    names = (definition.name, *definition.aliases)
    for name in names:
        if name in CENTER:
            raise ValueError(
                f"the name {name!r} is taken by {CENTER[name]} loss, which holds a state and cannot be replaced"
            )
    taken = [name for name in names if name in _definitions or name in _aliases]
    if taken and not replace:
        owner = _aliases.get(taken[0], taken[0])
        raise ValueError(f"the name {taken[0]!r} is taken by {owner}; pass replace=True to replace it")
    for name in names:
        _aliases.pop(name, None)
        # A loss whose name is taken is gone, and its aliases mean the new one.
        if _definitions.pop(name, None) is not None:
            _aliases.update({alias: definition.name for alias, of in _aliases.items() if of == name})
    _definitions[definition.name] = definition
    _aliases.update(dict.fromkeys(definition.aliases, definition.name))
    return definition


def register(
    name: str,
    *,
    kind: str | None = None,
    aliases: tuple[str, ...] = (),
    options: Mapping[str, read.Reader] | None = None,
    replace: bool = False,
) -> Callable[[Function], Definition]:
    """Make your own loss known to every backend, with reductions, masks, weights, dtypes and checks.

    Args:
        name: the name for `multiloss.get`, an identifier.
        kind: "elementwise" (one value per element), "over_axis" (takes `axis`, one value per sample) or
            "over_labels" (the same with integer labels). Default: "over_axis" if the function takes `axis`.
        aliases: further names.
        options: option name -> reader, the older form of an annotation, which it overrides.
        replace: replace a loss of that name.

    Returns:
        A decorator that turns the function `(xp, y_true, y_pred, *, option=default)` into its `Definition`. An option
        is read as its annotation says (`delta: Positive = 1.0`, see `multiloss.options`), or as the type of its default
        does. `@definition.gradient` and `@definition.hessian` register closed-form derivatives.

    Raises:
        ValueError: the name is taken, or no identifier.
        TypeError: the function's parameters do not fit.

    Example:
        >>> import multiloss
        >>> @multiloss.register("soft_abs_example", replace=True)
        ... def soft_abs(xp, y_true, y_pred, *, epsilon=1e-3):
        ...     return xp.sqrt((y_pred - y_true) ** 2 + epsilon**2)
        >>> loss = multiloss.get("soft_abs_example", backend="numpy", epsilon=4.0)
        >>> float(loss([0.0], [3.0]))
        5.0
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"name must be an identifier such as 'soft_abs', got {name!r}")

    def decorate(function: Function) -> Definition:
        takes_axis = "axis" in inspect.signature(function).parameters
        chosen = kind or ("over_axis" if takes_axis else "elementwise")
        if chosen not in ("elementwise", "over_axis", "over_labels"):
            raise ValueError(f"kind must be 'elementwise', 'over_axis' or 'over_labels', got {kind!r}")
        axis = read.single_axis if chosen == "over_labels" else read.axis
        definition = Definition(function, kind=chosen, name=name, aliases=aliases, axis=axis)
        for option, default in definition.options.items():
            reader = (options or {}).get(option) or definition.readers[option]
            reader(option, default)  # a default that cannot be read is refused now, not at the first `get`
            definition.readers[option] = reader
        definition.family, definition.kernel = "registered", None
        return add(definition, replace=replace)

    return decorate


def find(name: str | Definition) -> Definition:
    """The definition that `name` (canonical or alias) means; ValueError with the nearest names if none. A definition,
    which is what `register` gives, means itself as long as its name does."""
    if isinstance(name, Definition):
        if not has(name):
            raise ValueError(f"{name.name!r} is no longer registered as this loss, or never was")
        return name
    if not isinstance(name, str):
        raise TypeError(
            f"name must be a string such as 'huber', got {type(name).__name__}; multiloss.port takes losses "
            f"of PyTorch, Keras and Optax"
        )
    for key in (name, name.strip().lower()):
        found = _aliases.get(key, key)
        if found in _definitions:
            return _definitions[found]
    for find_elsewhere in _finders:  # plain statements, as AutoGraph of TensorFlow reads this
        other = find_elsewhere(name)
        if other:
            return other
    advice = [adviser(name) for adviser in _advisers]
    meant = next(filter(None, advice), None)
    if key in _AMBIGUOUS:
        told = f"; {meant}" if meant else ""
        raise ValueError(f"{name!r} can mean several losses; name one of {', '.join(_AMBIGUOUS[key])}{told}")
    if key in _ELSEWHERE:
        raise ValueError(f"{name!r} is no loss, but {_ELSEWHERE[key]}")
    if key in CENTER:
        raise ValueError(f"{name!r} is a loss with a state, which multiloss.get makes; it cannot be used here")
    if meant is not None:
        raise ValueError(f"unknown loss {name!r}; {meant}")
    near = _near(name)
    hint = f"; did you mean {', '.join(near[:5])}?" if near else "; multiloss.list_losses() has all names"
    raise ValueError(f"unknown loss {name!r}{hint}")


def letters(name: str) -> str:
    """The letters that count: those of "huber_loss", "HuberLoss" and "Huber" are "huber"."""
    letters = re.sub(r"[\W_]+", "", name).lower()
    return letters.removesuffix("loss") or letters


def meant(name: str) -> list[str]:
    """The losses that people call so, though in other letters or words; the likeliest first."""
    key, words = letters(name), {letters(word): of for word, of in (_WORDS | _AMBIGUOUS).items()}
    known = {letters(one): of for one, of in reversed(all_names().items())}
    found = [known[key]] if key in known else []
    return list(dict.fromkeys([*found, *words.get(key, words.get(key.removesuffix("error"), ()))]))


def _near(name: str) -> list[str]:
    """The losses that an unknown name may mean, the likeliest first."""
    key, known = letters(name), {letters(one): of for one, of in reversed(all_names().items())}
    near = meant(name)
    near += [known[one] for one in difflib.get_close_matches(key, known, 5, 0.6)]
    near += [of for one, of in known.items() if len(key) > 2 and key in one]
    return list(dict.fromkeys(near))


def of_labels(definition: Definition) -> str | None:
    """The name of the same loss of integer labels, if there is one."""
    name = f"sparse_{definition.name}"
    return name if name in _definitions else None


def has(definition: Definition) -> bool:
    """Whether its name still means this definition."""
    try:
        return find(definition.name) is definition  # which also knows the formulas of other libraries
    except ValueError:
        return False


def names() -> list[str]:
    """Canonical names, sorted."""
    return sorted(_definitions)


def all_names() -> dict[str, str]:
    """Every name, and the canonical name that it means."""
    return {name: name for name in names()} | _aliases | CENTER


def unknown_option(loss: str, option: str, known: list[str]) -> TypeError:
    """The error for an option that `loss` does not have."""
    owner = _definitions.get(loss)
    if owner is not None and option in _OF_OWNERS and "weight" in owner.inputs:
        return TypeError(
            f"{loss} takes its weight at each call and has no option {option!r}; a module that owns the weight is "
            f"WithWeight({loss!r}, num_classes=..., feature_dim=...) of multiloss.torch, multiloss.keras or "
            f"multiloss.flax"
        )
    weight = "sample_weight" if option == "weight" and "class_weight" not in known else option
    meant = _FOREIGN_OPTIONS.get(weight, "")
    hint = "".join(f"; did you mean {near!r}?" for near in difflib.get_close_matches(option, known, 1, 0.75))
    if meant and ("given to the call" in meant or meant in known):
        hint = f"; what you mean is called {meant} here"
    return TypeError(f"{loss} has no option {option!r}{hint} (its options: {', '.join(known)})")


def _by_name(definition: Definition) -> tuple[Any, ...]:
    """Pickle a definition as its name, so that the pickle of a loss carries no code."""
    if not has(definition):
        raise pickle.PicklingError(
            f"a pickle of a loss holds its name, but {definition.name!r} is no longer the loss that it was when this "
            f"one was made: it has been registered anew; make the loss again by multiloss.get({definition.name!r})"
        )
    return find, (definition.name,)


copyreg.pickle(Definition, _by_name)
