"""Cross entropies: value and gradient, on probabilities and on logits.

t are targets, p probabilities, z logits. From logits nothing is clipped; on probabilities the argument of every
logarithm, p and 1 - p, is floored at epsilon on its own, and where it lies below the floor the derivative is 0. A
term whose weight t is 0 is 0 (0 log 0 = 0).
"""

import math

from .scalars import divide, log, log1p, sigmoid, softplus, total


def floored_log(t: float, p: float, epsilon: float) -> float:
    """t log(max(p, epsilon)), with 0 log 0 = 0."""
    if t == 0.0 and not math.isnan(p):
        return 0.0
    return t * log(p if math.isnan(p) else max(p, epsilon))


def floored_log_slope(t: float, p: float, epsilon: float) -> float:
    """d/dp of t log(max(p, epsilon)): t / p above the floor, 0 below it."""
    if math.isnan(p):
        return math.nan
    if t == 0.0 or p < epsilon:
        return 0.0
    return divide(t, p)


def binary(
    t: float, p: float, *, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> float:
    """-(t log p + (1 - t) log(1 - p)), t smoothed to t (1 - s) + s / 2.

    From logits p = sigmoid(z): -log p = softplus(-z) and -log(1 - p) = softplus(z).
    """
    t = t * (1.0 - label_smoothing) + label_smoothing / 2.0
    if from_logits:
        return t * softplus(-p) + (1.0 - t) * softplus(p)
    if 1.0 - t == 0.0 and not math.isnan(p):
        right = 0.0
    else:  # log(1 - p) as log1p(-p): 1 - p loses the digits of a small p
        right = (1.0 - t) * (log1p(-p) if not 1.0 - p < epsilon else log(epsilon))
    return -(floored_log(t, p, epsilon) + right)


def binary_slope(
    t: float, p: float, *, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> float:
    """-t / p + (1 - t) / (1 - p), each term 0 below its floor; from logits sigmoid(z) - t.

    The latter is written (1 - t) sigmoid(z) - t sigmoid(-z), which keeps the digits of a confident right answer.
    """
    t = t * (1.0 - label_smoothing) + label_smoothing / 2.0
    if from_logits:
        return (1.0 - t) * sigmoid(p) - t * sigmoid(-p)
    return floored_log_slope(1.0 - t, 1.0 - p, epsilon) - floored_log_slope(t, p, epsilon)


def exponentials(z: list[float]) -> list[float]:
    """exp(z_k - max z): nothing overflows, and the quotients are those of exp(z_k)."""
    largest = max(z)
    return [math.exp(v - largest) for v in z]


def smoothed(t: list[float], label_smoothing: float) -> list[float]:
    """t (1 - s) + s / K."""
    return [v * (1.0 - label_smoothing) + label_smoothing / len(t) for v in t]


def negative_log_softmax(z: list[float], k: int) -> float:
    """-log(exp(z_k) / sum_j exp(z_j)) = log(1 + sum_{j != k} exp(z_j - z_k)).

    Where z_k is the largest the right side is taken as it stands (the loss of a confident right answer keeps its
    digits); otherwise exp might overflow, and it is (max z - z_k) + log(sum_j exp(z_j - max z)).
    """
    if any(math.isnan(v) or v == math.inf for v in z):
        return math.nan
    if z[k] == max(z):
        return math.log1p(total([math.exp(z[j] - z[k]) for j in range(len(z)) if j != k]))
    return (max(z) - z[k]) + math.log(total(exponentials(z)))


def categorical(
    t: list[float],
    p: list[float],
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 1e-7,
    normalize: bool = False,
) -> float:
    """-sum_k t_k log p_k, t smoothed to t (1 - s) + s / K; from logits p = softmax(z); `normalize`: p / sum p."""
    t = smoothed(t, label_smoothing)
    if from_logits:
        return total([t[k] * negative_log_softmax(p, k) for k in range(len(p)) if t[k] != 0.0])
    if normalize:
        p = [v / total(p) for v in p]
    return -total([floored_log(t[k], p[k], epsilon) for k in range(len(p))])


def categorical_slope(
    t: list[float],
    p: list[float],
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 1e-7,
    normalize: bool = False,
) -> list[float]:
    """The gradient with respect to every p_j.

    On probabilities -t_j / p_j. From logits sum_k t_k (s_j - [j = k]) with s = softmax(z); s_j - 1 is
    -sum_{i != j} s_i. With `normalize` the chain rule through p_k / S: d(p_k / S) / dp_j = ([j = k] - p_k / S) / S.
    """
    t = smoothed(t, label_smoothing)
    classes = range(len(p))
    if from_logits:
        powers = exponentials(p)
        s = [v / total(powers) for v in powers]
        rest = [total([powers[i] for i in classes if i != j]) / total(powers) for j in classes]
        return [total([-t[k] * rest[j] if j == k else t[k] * s[j] for k in classes]) for j in classes]
    if not normalize:
        return [-floored_log_slope(t[j], p[j], epsilon) for j in classes]
    return through_normalization([-floored_log_slope(t[k], p[k] / total(p), epsilon) for k in classes], p)


def through_normalization(slopes: list[float], p: list[float]) -> list[float]:
    """Chain rule through q_k = p_k / S, S = sum p: g_j = sum_k slope_k ([j = k] - q_k) / S."""
    size = total(p)
    classes = range(len(p))
    return [total([slopes[k] * ((j == k) - p[k] / size) / size for k in classes]) for j in classes]


def one_hot(label: int, classes: int) -> list[float]:
    """The target vector of an integer label; a label outside [0, classes) gives nan, never an index from the end."""
    if not 0 <= label < classes:
        return [math.nan] * classes
    return [1.0 if k == label else 0.0 for k in range(classes)]
