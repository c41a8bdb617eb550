"""What the losses of PyTorch, Keras and Optax are called here, and what of their loss modules is no loss.

`tests/test_catalogue_complete.py` compares this with what the installed libraries export, so a loss that one of them
gains and this table lacks fails it.
"""


def _table(text: str) -> dict[str, str]:
    """A line is their names for one loss, and behind these ours."""
    rows = (line.split() for line in text.strip().splitlines())
    return {name: ours for *names, ours in rows for name in names}


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


#: our name, or a sentence that says why there is none
TORCH = {
    "TripletMarginWithDistanceLoss": "of a function: multiloss.triplet_margin",
    "AdaptiveLogSoftmaxWithLoss": "owns the weights of a whole output layer: a layer, not a loss",
} | _table("""
    BCELoss BCEWithLogitsLoss binary_cross_entropy binary_cross_entropy_with_logits binary_crossentropy
    CTCLoss ctc_loss ctc
    CosineEmbeddingLoss cosine_embedding_loss cosine_embedding
    CrossEntropyLoss cross_entropy sparse_categorical_crossentropy
    GaussianNLLLoss gaussian_nll_loss gaussian_nll
    HingeEmbeddingLoss hinge_embedding_loss hinge_embedding
    HuberLoss huber_loss huber
    KLDivLoss kl_div kl_divergence
    L1Loss l1_loss mean_absolute_error
    LinearCrossEntropyLoss linear_cross_entropy linear_cross_entropy
    MSELoss mse_loss mean_squared_error
    MarginRankingLoss margin_ranking_loss margin_ranking
    MultiLabelMarginLoss multilabel_margin_loss multilabel_margin
    MultiLabelSoftMarginLoss multilabel_soft_margin_loss multilabel_soft_margin
    MultiMarginLoss multi_margin_loss multi_margin
    NLLLoss NLLLoss2d nll_loss nll
    PoissonNLLLoss poisson_nll_loss poisson_nll
    SmoothL1Loss smooth_l1_loss smooth_l1
    SoftMarginLoss soft_margin_loss soft_margin
    TripletMarginLoss triplet_margin_loss triplet_margin_with_distance_loss triplet_margin
""")

_SAME_IN_KERAS = [
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_hinge", "circle", "cosine_similarity", "dice", "hinge", "huber", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "poisson",
    "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip
KERAS = (
    {name: ours for ours in _SAME_IN_KERAS for name in (ours, _camel(ours))}
    | {
        "Loss": "the base class",
        "deserialize": "makes a loss of its configuration",
        "get": "makes a loss of its name",
        "serialize": "the configuration of a loss",
    }
    | _table("""
    CTC ctc ctc
    KLDivergence kl_divergence kl_divergence
    CategoricalGeneralizedCrossEntropy categorical_generalized_cross_entropy generalized_cross_entropy
""")
)

OPTAX = {
    "make_fenchel_young_loss": "a function of a function: multiloss.fenchel_young",
    "smooth_labels": "a function: multiloss.smooth_labels",
} | _table("""
    binary_dice_loss dice_loss dice
    convex_kl_divergence generalized_kl_divergence generalized_kl_divergence
    cosine_distance cosine_distance
    cosine_similarity cosine_similarity
    ctc_loss ctc_loss_with_forward_probs ctc
    hinge_loss hinge
    huber_loss huber
    kl_divergence kl_divergence_with_log_targets kl_divergence
    l2_loss half_squared_error
    log_cosh log_cosh
    multiclass_generalized_dice_loss generalized_dice
    multiclass_hinge_loss multiclass_hinge
    multiclass_perceptron_loss multiclass_perceptron
    multiclass_sparsemax_loss sparsemax
    ntxent ntxent
    perceptron_loss perceptron
    poly_loss_cross_entropy poly_cross_entropy
    ranking_softmax_loss ranking_softmax
    safe_softmax_cross_entropy softmax_cross_entropy categorical_crossentropy
    sigmoid_binary_cross_entropy binary_crossentropy
    sigmoid_focal_loss binary_focal_crossentropy
    softmax_cross_entropy_with_integer_labels sparse_categorical_crossentropy
    sparsemax_loss binary_sparsemax
    squared_error mean_squared_error
    triplet_margin_loss triplet_margin
""")
