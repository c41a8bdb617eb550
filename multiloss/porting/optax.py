"""The losses of `optax.losses` (0.2.8) as losses of this library. They are functions, most of which reduce nothing.

Arguments that are arrays of a call (`where`, `weights`) are refused, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiloss.engine.options import positive, real
from multiloss.porting import optax_common
from multiloss.porting.optax_common import (
    AMOUNTS,
    CLASSES,
    ELEMENTS,
    INFINITE,
    KINK,
    LABELLED,
    LABELS,
    LOG_TARGETS,
    MASKED,
    SAMPLES,
    TARGETS,
    VECTORS,
    cosine_notes,
    dice_notes,
    element,
    no_where,
    of_two,
    one_axis,
    row,
    source,
)
from multiloss.porting.rows import RefusedError, Row, refuses

ROWS = optax_common.ROWS


@source("optax.losses.squared_error")
def squared_error() -> Row:
    """Each squared error."""
    return row("mean_squared_error", ELEMENTS, axis=())


@source("optax.losses.l2_loss")
def half_squared_error() -> Row:
    """Half of each squared error."""
    note = "has the factor 1/2, which mean squared errors elsewhere do not have"
    return row("half_squared_error", ELEMENTS, note, axis=())


@source("optax.losses.huber_loss")
def huber(delta: Any = 1.0) -> Row:
    """e^2 / 2 up to delta, and delta |e| - delta^2 / 2 beyond."""
    return element("huber", "torch's smooth_l1_loss is this over its beta", delta=delta)


@source("optax.losses.log_cosh")
def log_cosh() -> Row:
    """log(exp(e) + exp(-e)) - log 2."""
    note = "Optax takes the difference of terms near log 2, which loses the digits of small errors; here they are kept"
    return element("log_cosh", note)


@source("optax.losses.cosine_similarity")
def cosine_similarity(epsilon: Any = 0.0, axis: Any = -1, where: Any = None) -> Row:
    """The cosine of two vectors, each squared norm at least epsilon."""
    no_where(where, f"{VECTORS}, or {SAMPLES}")
    note = "plus the cosine, so more is better; Keras' loss is minus the cosine"
    return of_two("optax.cosine_similarity", note, *cosine_notes(epsilon), axis=axis, epsilon=epsilon)


@source("optax.losses.cosine_distance")
def cosine_distance(epsilon: Any = 0.0, axis: Any = -1, where: Any = None) -> Row:
    """1 minus the cosine of two vectors, each squared norm at least epsilon."""
    no_where(where, VECTORS)  # Optax gives a masked vector the distance 1, a mask here would give it 0
    if epsilon == 0:
        return of_two("cosine_distance", *cosine_notes(epsilon), axis=axis)
    return of_two("optax.cosine_distance", *cosine_notes(epsilon), axis=axis, epsilon=epsilon)


def _divergence(loss: str, axis: Any, *notes: str, **options: Any) -> Row:
    first = "the prediction is given as log-probabilities; probabilities give plausible, negative numbers"
    impossible = "0 log 0 is 0 here: where the target is 0 and the log-prediction -inf, Optax gives nan"
    more = {"axis": axis, "epsilon": 0.0, "log_input": True, "validate": False}
    return of_two(loss, first, impossible, *notes, **more, **options)


@source("optax.losses.kl_divergence")
def kl_divergence(axis: Any = -1, where: Any = None) -> Row:
    """sum(t (log t - x)) of probabilities t and log-probabilities x."""
    no_where(where, TARGETS)
    return _divergence("kl_divergence", axis)


@source("optax.losses.kl_divergence_with_log_targets")
def kl_divergence_with_log_targets(axis: Any = -1, where: Any = None) -> Row:
    """sum(exp(u) (u - x)) of log-probabilities u and x."""
    no_where(where, LOG_TARGETS)
    note = "a log-target of -inf gives nan in Optax; here it adds nothing"
    return _divergence("kl_divergence", axis, note, log_target=True)


@source("optax.losses.generalized_kl_divergence", "optax.losses.convex_kl_divergence")
def generalized_kl_divergence(axis: Any = -1, where: Any = None) -> Row:
    """sum(t (log t - x) - t + exp(x)) of amounts t and log-amounts x."""
    no_where(where, AMOUNTS)
    return _divergence("generalized_kl_divergence", axis)


@source("optax.losses.sigmoid_binary_cross_entropy")
def sigmoid_binary_cross_entropy() -> Row:
    """Binary cross entropy of each logit."""
    return element("binary_crossentropy", "logits, not probabilities", INFINITE, from_logits=True, validate=False)


@source("optax.losses.sigmoid_focal_loss")
def sigmoid_focal_loss(alpha: Any = None, gamma: Any = 2.0) -> Row:
    """(1 - p_t)^gamma times the binary cross entropy of each logit."""
    alpha_note = "alpha is off" if alpha is None else "alpha weighs the label 1, 1 - alpha the label 0"
    more = {"alpha": alpha, "gamma": gamma}
    notes = alpha_note, "logits, not probabilities", INFINITE
    return element("binary_focal_crossentropy", *notes, from_logits=True, validate=False, **more)


_SIGNS = "labels must be -1 and 1; a label of 0 gives a constant, with gradient 0 (Keras converts labels 0 and 1)"


@source("optax.losses.hinge_loss")
def hinge() -> Row:
    """max(0, 1 - t z) of labels -1 and 1."""
    return element("hinge", _SIGNS, KINK, validate=False)


@source("optax.losses.perceptron_loss")
def perceptron() -> Row:
    """max(0, -t z) of labels -1 and 1."""
    return row("perceptron", ELEMENTS, _SIGNS, KINK, axis=(), validate=False)


@source("optax.losses.sparsemax_loss")
def binary_sparsemax() -> Row:
    """Sparsemax loss of two outcomes, labels 0 and 1."""
    return element("binary_sparsemax", "Optax takes every label but 0 for 1; here there are 0 and 1 only")


@source("optax.losses.multiclass_hinge_loss")
def multiclass_hinge() -> Row:
    """max_j(z_j + [j != y]) - z_y."""
    keras = "the largest wrong score counts, and is not summed over as in torch's multi_margin_loss"
    ties = "of equal largest scores the first has the gradient, and at the kink it is 0; JAX shares it"
    return row("multiclass_hinge", keras, ties, LABELS)


@source("optax.losses.multiclass_perceptron_loss")
def multiclass_perceptron() -> Row:
    """max_j(z_j) - z_y."""
    ties = "of equal largest scores the first has the gradient; JAX shares it"
    return row("multiclass_perceptron", ties, LABELS)


@source("optax.losses.multiclass_sparsemax_loss")
def sparsemax() -> Row:
    """Sparsemax loss of integer labels."""
    return row("sparsemax", LABELS)


@source("optax.losses.softmax_cross_entropy")
def softmax_cross_entropy(axis: Any = -1, where: Any = None) -> Row:
    """-sum(t log softmax(z)) of one-hot or soft targets."""
    no_where(where, CLASSES)
    one = one_axis(axis)
    if one is None:
        return of_two("optax.softmax_cross_entropy", MASKED, axis=axis)
    return of_two("categorical_crossentropy", MASKED, axis=one, from_logits=True, validate=False)


@source("optax.losses.safe_softmax_cross_entropy")
def safe_softmax_cross_entropy() -> Row:
    """-sum(t log softmax(z)); a target of 0 with a logit of -inf adds nothing."""
    return of_two("categorical_crossentropy", from_logits=True, validate=False)


@source("optax.losses.softmax_cross_entropy_with_integer_labels")
def softmax_cross_entropy_with_integer_labels(axis: Any = -1, where: Any = None) -> Row:
    """-log softmax(z)_y of integer labels."""
    no_where(where, LABELLED)
    one = one_axis(axis)
    if one is None:
        raise RefusedError(f"axis={axis!r}: integer labels are of one axis here; reshape several into one first")
    return row("sparse_categorical_crossentropy", LABELS, axis=one, from_logits=True)


@source("optax.losses.poly_loss_cross_entropy", back={"epsilon": "poly_epsilon"})
def poly_loss_cross_entropy(epsilon: Any = 2.0, axis: Any = -1, where: Any = None) -> Row:
    """Cross entropy of logits plus epsilon sum(t (1 - p))."""
    no_where(where, CLASSES)
    note = "epsilon is the weight of the added term, called poly_epsilon here: 2 by default; 0 is cross entropy"
    one = one_axis(axis)
    if one is None:
        return of_two("optax.softmax_cross_entropy", note, MASKED, axis=axis, poly_epsilon=epsilon)
    options = {"axis": one, "from_logits": True, "poly_epsilon": epsilon}
    return of_two("poly_cross_entropy", note, MASKED, validate=False, **options)


def _reduce_fn(options: Mapping[str, Any]) -> Any:
    return None if options["reduction"] == "none" else options["reduction"]


@source("optax.losses.ranking_softmax_loss", back={"reduce_fn": _reduce_fn})
def ranking_softmax(where: Any = None, weights: Any = None, reduce_fn: Any = "mean") -> Row:
    """-sum(t log softmax(z)) of the relevances of a list, then the mean over lists."""
    lists = "pass mask at the call to leave out lists of which nothing is left"
    no_where(where, f"set the scores that it leaves out to -inf, and their relevances to 0, and {lists}")
    if weights is not None:
        raise RefusedError("weights is an array of each call: multiply y_true by it")
    reduction = "none" if reduce_fn is None else getattr(reduce_fn, "__name__", reduce_fn)
    if reduction not in ("mean", "sum", "none"):
        raise RefusedError(f"reduce_fn must be jnp.mean, jnp.sum or None, got {reduce_fn!r}")
    note = "relevances are taken as they are, and need not sum to 1"
    return of_two("ranking_softmax", note, reduction=reduction)


_PADDINGS = (
    "takes lengths, where Optax takes paddings: label_lengths = (1 - label_paddings).sum(1), and input_lengths the "
    "same of logit_paddings"
)


@source("optax.losses.ctc_loss", data="y_pred input_lengths y_true label_lengths", back={"blank_id": "blank"})
def ctc(blank_id: Any = 0, log_epsilon: Any = -1e5) -> Row:
    """Connectionist temporal classification of logits (N, T, C)."""
    if real("log_epsilon", log_epsilon) > -1e4:
        raise RefusedError(
            f"log_epsilon stands for the logarithm of 0, and {log_epsilon!r} is no such number; here that is exact"
        )
    notes = (
        _PADDINGS,
        "labels that do not fit into the frames have a value near 1e5 in Optax; here inf, with gradient 0",
        "logits, (N, T, C); torch takes log-probabilities, (T, N, C)",
    )
    return row("ctc", *notes, blank=blank_id)


refuses(
    ROWS,
    "optax.losses.ctc_loss_with_forward_probs",
    "it gives forward probabilities beside the loss, which no loss here does; optax.losses.ctc_loss is ported",
)


@source("optax.losses.dice_loss", back={"axis": "over", "reduction": "over_classes"})
def dice(
    class_weights: Any = None,
    smooth: Any = 1.0,
    alpha: Any = 0.5,
    beta: Any = 0.5,
    apply_softmax: Any = True,
    reduction: Any = "mean",
    ignore_background: Any = False,
    axis: Any = None,
) -> Row:
    """1 - (I + s) / (I + alpha FP + beta FN + s) of each sample and class, then the mean over classes."""
    notes = [
        *dice_notes(smooth),
        "alpha weighs false positives, beta false negatives; Keras' Tversky has them the other way round",
        "one value per sample, not reduced over the batch; Keras' Dice takes the whole batch as one region",
    ]
    if apply_softmax:
        notes.append("takes logits; a last axis of 1 gets a sigmoid")
    else:
        notes.append("Optax raises where probabilities do not sum to 1 over the last axis; here they are taken")
    options = {"smooth": smooth, "alpha": alpha, "beta": beta, "class_weights": class_weights, "over": axis}
    options |= {"apply_softmax": apply_softmax, "over_classes": reduction, "ignore_background": ignore_background}
    return row("optax.dice_loss", *notes, **options)


@source("optax.losses.binary_dice_loss")
def binary_dice(smooth: Any = 1.0, apply_sigmoid: Any = True) -> Row:
    """Dice loss of each sample, from logits of one class."""
    if not apply_sigmoid:
        raise RefusedError(
            "apply_sigmoid=False raises in Optax unless every probability is 1; multiloss.get('dice', smooth=2 * "
            "smooth, axis=..., reduction='none') takes them, axis being all axes but the first (and the last, of one "
            "class)"
        )
    return row("optax.binary_dice_loss", *dice_notes(smooth), "takes logits", smooth=smooth)


@source("optax.losses.multiclass_generalized_dice_loss")
def generalized_dice(smooth: Any = 1.0, apply_softmax: Any = True, ignore_background: Any = False) -> Row:
    """Mean of the Dice losses of samples and classes, a class weighted by 1 / (its sum over the batch)^2."""
    notes = (
        *dice_notes(smooth),
        "one number for the batch; a class that the batch lacks has nearly all of the weight",
        "an empty batch gives nan in Optax; here 0",
        "not the ratio of weighted sums of Sudre et al., which is multiloss.get('generalized_dice')",
    )
    options = {"smooth": smooth, "apply_softmax": apply_softmax, "ignore_background": ignore_background}
    return row("optax.multiclass_generalized_dice_loss", *notes, reduction="mean", **options)


@source("optax.losses.ntxent", data="features labels")
def ntxent(temperature: Any = 0.07) -> Row:
    """Cross entropy of each positive pair against the anchor's negatives, the mean over pairs."""
    return row(
        "ntxent",
        "other positives are left out of the denominator, which supervised contrastive loss has there",
        "a batch without a positive pair has nan in Optax; here 0",
        "for temperatures near 1e-3 Optax' gradient is nan; here it is right",
        "Optax floors squared norms at the dtype's epsilon; here vectors of any length but 0 are divided by their norm",
        reduction="mean",
        temperature=temperature,
    )


@source(
    "optax.losses.triplet_margin_loss", data="anchor positive negative", back={"norm_degree": "power", "eps": "epsilon"}
)
def triplet_margin(axis: Any = -1, norm_degree: Any = 2, margin: Any = 1.0, eps: Any = 1e-6) -> Row:
    """max(0, d(a, p) - d(a, n) + margin), d(x, y) = (sum((x - y)^k) + eps)^(1/k)."""
    if axis != -1:
        raise RefusedError(f"axis={axis!r}: embeddings are on the last axis here; move it there first")
    inside = "eps is added under the root; torch adds it to each difference"
    equal = "with eps=0, Optax' gradient of two equal points is nan; here 0"
    if positive("norm_degree", norm_degree) % 2 == 0:
        options = {"power": norm_degree, "margin": margin, "epsilon": eps, "epsilon_in": "root"}
        return row("triplet_margin", inside, equal, KINK, **options)
    signed = "Optax takes no absolute value before the power: with this norm_degree differences cancel, or give nan"
    options = {"norm_degree": norm_degree, "margin": margin, "eps": eps}
    return row("optax.triplet_margin_loss", inside, signed, KINK, **options)


refuses(
    ROWS,
    "optax.losses.make_fenchel_young_loss",
    "it makes a loss of a function; multiloss.fenchel_young does",
)
refuses(ROWS, "optax.losses.smooth_labels", "it is no loss but a function of labels; multiloss.smooth_labels is it")
