"""`multiloss.testing.properties` finds what is known of losses from textbooks, and the kinks that formulas show."""

import pytest

import multiloss
from multiloss.testing import properties

# convex in y_pred, bounded, symmetric, a slope everywhere, 0 at the target; None where the question makes no sense
KNOWN = {
    "mean_squared_error": (True, False, True, True, True),
    "mean_absolute_error": (True, False, True, False, True),
    "huber": (True, False, True, True, True),
    "quantile": (True, False, True, False, True),  # q = 1/2
    "charbonnier": (True, False, True, True, False),
    "mean_absolute_percentage_error": (True, False, False, False, True),
    "symmetric_mean_absolute_percentage_error": (False, True, True, False, True),
    "mean_squared_logarithmic_error": (False, False, True, True, True),  # log2(1 + p) bends down far out
    "cosine_distance": (False, True, True, False, True),
    "kl_divergence": (True, True, False, True, True),  # bounded by its epsilon
    "js_divergence": (True, True, True, True, True),
    "hinge": (True, False, None, False, None),
    "squared_hinge": (True, False, None, True, None),
    "dice": (False, True, True, True, False),
    "center": (True, False, None, True, None),
    "contrastive_center": (False, True, None, True, None),
}


def answers(name: str, **options: object) -> tuple[bool | None, ...]:
    found = properties(name, **options)
    return tuple(
        one.holds for one in (found.convex, found.bounded, found.symmetric, found.differentiable, found.zero_at_target)
    )


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str) -> None:
    assert answers(name) == KNOWN[name]


@pytest.mark.parametrize(
    ("name", "options", "known"),
    [
        ("quantile", {"q": 0.9}, (True, False, False, False, True)),
        ("sparse_categorical_crossentropy", {"from_logits": True}, (True, False, None, True, None)),
        ("generalized_cross_entropy", {"from_logits": True}, (False, True, None, True, None)),
        ("kl_divergence", {"epsilon": 0.0}, (True, False, False, True, True)),
        ("triplet", {}, (False, False, None, False, None)),
    ],
)
def test_known_answers_of_options(name: str, options: dict[str, object], known: tuple[bool | None, ...]) -> None:
    assert answers(name, **options) == known


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mean_absolute_error", "where an element of y_pred equals its target"),
        ("root_mean_squared_error", "kinks where y_pred equals y_true"),
        ("hinge", "where y_true times y_pred is 1"),
        ("cosine_similarity", "jumps where y_pred is the zero vector"),
        ("triplet_margin", "where the value becomes 0"),
        ("arcface", "jumps"),  # where the angle and its margin pass pi
    ],
)
def test_where_there_is_no_slope(name: str, words: str) -> None:
    assert words in properties(name).differentiable.words


def test_words_say_what_was_tried() -> None:
    found = properties("mse", pairs=200)
    assert str(found.convex) == "yes: no counterexample among 200 pairs of points"
    assert found == properties("mse", pairs=200)
    assert str(found).splitlines()[1].startswith("bounded: no: no value below 0 found")
    assert found.by == "y_pred"


def test_domains_that_a_loss_does_not_check() -> None:
    """With negative relevances a cross entropy bends the other way."""
    assert not properties("ranking_softmax").convex.holds
    assert properties("ranking_softmax", within={"y_true": (0.0, 3.0)}).convex.holds


@pytest.mark.usefixtures("own_registry")
def test_a_loss_of_ones_own() -> None:
    @multiloss.register("bounded_error")
    def bounded_error(xp, y_true, y_pred):  # type: ignore[no-untyped-def]
        """Welsch's: 1 - exp(-e^2 / 2), between 0 and 1."""
        return 1 - xp.exp(-0.5 * (y_pred - y_true) ** 2)

    assert answers("bounded_error") == (False, True, True, True, True)
