# Types of what `multiloss` makes, for type checkers and editors. Written by scripts/make_types.py: change that instead.
# Names with an underscore do not exist when a program runs.

# That the classes below say more of a call than their bases is meant:
# mypy: disable-error-code="misc"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, SupportsFloat, SupportsIndex, TypeAlias, TypedDict, TypeVar
from typing import Unpack, overload

import jax
import keras
import numpy.typing as npt
import tensorflow as tf
from torch import Tensor, nn

from multiloss.boosting import Objective
from multiloss.engine.definition import Definition
from multiloss.engine.loss import Loss, LossObject

from multiloss_numpy.objects import NumpyCenter as NumpyCenter
from multiloss_numpy.objects import NumpyLoss as NumpyLoss

from multiloss_torch.objects import TorchCenter as TorchCenter
from multiloss_torch.objects import TorchLoss as TorchLoss

from multiloss_tensorflow.objects import TensorflowCenter as TensorflowCenter
from multiloss_tensorflow.objects import TensorflowLoss as TensorflowLoss

from multiloss_jax.objects import JaxCenter as JaxCenter
from multiloss_jax.objects import JaxLoss as JaxLoss

from multiloss_keras.objects import CenterLoss as KerasCenter
from multiloss_keras.objects import KerasLoss as KerasLoss

__all__ = [
    'Alias', 'AnyLoss', 'BackendName', 'CenterName', 'Definition', 'JaxCenter', 'JaxLoss', 'KerasCenter', 'KerasLoss',
    'Loss', 'LossName', 'NumpyCenter', 'NumpyLoss', 'TensorflowCenter', 'TensorflowLoss', 'TorchCenter', 'TorchLoss',
    'from_config', 'get', 'get_by_name', 'objective', 'port'
]
BackendName: TypeAlias = Literal["numpy", "torch", "tensorflow", "jax", "keras"]
_YTrueYPredName: TypeAlias = Literal[
    "binary_crossentropy", "bce", "binary_focal_crossentropy", "binary_sparsemax", "categorical_crossentropy", "cce",
    "categorical_focal_crossentropy", "categorical_hinge", "charbonnier", "cosine_distance", "cosine_similarity",
    "crps", "dice", "focal_tversky", "generalized_cross_entropy", "generalized_dice", "generalized_kl_divergence",
    "half_squared_error", "hinge", "hinge_embedding", "huber", "huber_loss", "jaccard", "js_divergence", "jsd",
    "jensen_shannon_divergence", "kl_divergence", "kl", "kld", "kullback_leibler_divergence", "listnet", "log_cosh",
    "logcosh", "log_cosh_loss", "lovasz_softmax", "mean_absolute_error", "mae", "mean_absolute_percentage_error",
    "mape", "mean_squared_error", "mse", "mean_squared_logarithmic_error", "msle", "multi_margin", "multiclass_hinge",
    "multiclass_perceptron", "multilabel_margin", "multilabel_soft_margin", "nll", "perceptron", "poisson",
    "poisson_nll", "poly_cross_entropy", "quantile", "pinball", "ranking_softmax", "ranknet", "root_mean_squared_error",
    "rmse", "root_mean_squared_logarithmic_error", "rmsle", "smooth_l1", "smooth_l1_loss", "soft_margin",
    "sparse_categorical_crossentropy", "scce", "sparse_categorical_focal_crossentropy", "sparse_poly_cross_entropy",
    "sparsemax", "squared_hinge", "squentropy", "symmetric_mean_absolute_percentage_error", "smape", "tversky",
    "tweedie", "wasserstein_1d", "emd_1d"
]
_LabelsFeaturesWeightName: TypeAlias = Literal["arcface", "cosface", "proxy_anchor", "proxy_nca", "sphereface"]
_LabelsFeaturesName: TypeAlias = Literal["circle", "multi_similarity", "ntxent", "supervised_contrastive", "triplet"]
_X1X2Name: TypeAlias = Literal["barlow_twins", "info_nce", "vicreg"]
_YTrueX1X2Name: TypeAlias = Literal["contrastive", "cosine_embedding", "margin_ranking"]
_YTrueYPredLabelLengthsInputLengthsName: TypeAlias = Literal["ctc"]
_YTrueYPredVarName: TypeAlias = Literal["gaussian_nll"]
_YTrueFeaturesWeightBiasName: TypeAlias = Literal["linear_cross_entropy"]
_AnchorPositiveNegativeName: TypeAlias = Literal["triplet_margin"]
CenterName: TypeAlias = Literal[
    "center", "center_loss", "contrastive_center", "triplet_center", "island", "git", "ring"
]
Alias: TypeAlias = Literal[
    "bce", "cce", "emd_1d", "huber_loss", "jensen_shannon_divergence", "jsd", "kl", "kld",
    "kullback_leibler_divergence", "log_cosh_loss", "logcosh", "mae", "mape", "mse", "msle", "pinball", "rmse", "rmsle",
    "scce", "smape", "smooth_l1_loss", "center_loss"
]
_NameWithoutCenters: TypeAlias = (
    _YTrueYPredName | _LabelsFeaturesWeightName | _LabelsFeaturesName | _X1X2Name | _YTrueX1X2Name |
    _YTrueYPredLabelLengthsInputLengthsName | _YTrueYPredVarName | _YTrueFeaturesWeightBiasName |
    _AnchorPositiveNegativeName
)
LossName: TypeAlias = _NameWithoutCenters | CenterName
class AnyLoss(Protocol):
    def __call__(self, *inputs: Any, **named: Any) -> Any: ...
    def value_and_grad(self, *inputs: Any, **named: Any) -> Any: ...
    def config(self) -> dict[str, Any]: ...

class _NoSuchLossBackendOrOption: ...

_Given = TypeVar("_Given", contravariant=True)
_Value = TypeVar("_Value", covariant=True)
_Gradient = TypeVar("_Gradient", covariant=True)

_Reduction: TypeAlias = Literal["mean", "weighted_mean", "sum", "batchmean", "none", "keras.weighted_mean"]
class _YTrueYPred(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, y_true: _Given, y_pred: _Given, sample_weight: _Given | None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, sample_weight: _Given | None = None, mask: _Given | None = None, *, wrt:
        Literal["y_true", "y_pred"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, sample_weight: _Given | None = None, mask: _Given | None = None, *, wrt:
        tuple[Literal["y_true", "y_pred"], ...] | list[Literal["y_true", "y_pred"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
    def grad_and_hess(self, y_true: _Given, y_pred: _Given) -> tuple[_Gradient, _Gradient]: ...
class _YTrueYPredOptions(TypedDict, total=False):
    alpha: SupportsFloat | npt.ArrayLike | None
    axis: Sequence[SupportsIndex] | SupportsIndex | None
    beta: SupportsFloat
    class_axis: SupportsIndex | None
    class_weight: npt.ArrayLike | None
    classes: npt.ArrayLike | str
    delta: SupportsFloat
    epsilon: SupportsFloat
    fair: bool
    from_logits: bool
    full: bool
    gamma: SupportsFloat
    ignore_index: SupportsIndex | None
    keras: bool
    label_smoothing: SupportsFloat
    labels: Literal["+-1", "01"]
    log_input: bool
    log_target: bool
    margin: SupportsFloat
    normalize: bool
    pairs: Literal["mean", "sum"]
    per_image: bool
    poly_epsilon: SupportsFloat
    pos_weight: SupportsFloat | npt.ArrayLike | None
    positions: npt.ArrayLike | None
    power: SupportsFloat | SupportsIndex
    q: SupportsFloat
    reduction: _Reduction
    smooth: SupportsFloat
    squared: bool
    stirling: bool
    validate: bool | None
class _LossYTrueYPred(_YTrueYPred[Any, Any, Any], Loss): ...
class _NumpyLossYTrueYPred(_YTrueYPred[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossYTrueYPred(_YTrueYPred[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossYTrueYPred(
    _YTrueYPred[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossYTrueYPred(_YTrueYPred[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossYTrueYPred(_YTrueYPred[Any, Any, Any], KerasLoss): ...
class _LabelsFeaturesWeight(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, labels: _Given, features: _Given, weight: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, labels: _Given, features: _Given, weight: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None, wrt: Literal["features", "weight"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, labels: _Given, features: _Given, weight: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None, wrt: tuple[Literal["features", "weight"], ...] | list[Literal["features", "weight"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _LabelsFeaturesWeightOptions(TypedDict, total=False):
    alpha: SupportsFloat
    margin: SupportsFloat | SupportsIndex
    plus: bool
    reduction: _Reduction
    scale: SupportsFloat
    validate: bool | None
class _LossLabelsFeaturesWeight(_LabelsFeaturesWeight[Any, Any, Any], Loss): ...
class _NumpyLossLabelsFeaturesWeight(_LabelsFeaturesWeight[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossLabelsFeaturesWeight(_LabelsFeaturesWeight[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossLabelsFeaturesWeight(
    _LabelsFeaturesWeight[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossLabelsFeaturesWeight(_LabelsFeaturesWeight[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossLabelsFeaturesWeight(_LabelsFeaturesWeight[Any, Any, Any], KerasLoss): ...
class _LabelsFeatures(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, labels: _Given, features: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, labels: _Given, features: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt:
        Literal["features"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, labels: _Given, features: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt:
        tuple[Literal["features"], ...] | list[Literal["features"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _LabelsFeaturesOptions(TypedDict, total=False):
    alpha: SupportsFloat
    base: SupportsFloat
    beta: SupportsFloat
    detach: bool
    gamma: SupportsFloat
    margin: SupportsFloat
    mining: Literal["hard", "semihard", "all"]
    normalize: bool
    official: bool
    reduction: _Reduction
    squared: bool
    temperature: SupportsFloat
    validate: bool | None
class _LossLabelsFeatures(_LabelsFeatures[Any, Any, Any], Loss): ...
class _NumpyLossLabelsFeatures(_LabelsFeatures[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossLabelsFeatures(_LabelsFeatures[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossLabelsFeatures(
    _LabelsFeatures[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossLabelsFeatures(_LabelsFeatures[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossLabelsFeatures(_LabelsFeatures[Any, Any, Any], KerasLoss): ...
class _X1X2(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt:
        Literal["x1", "x2"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt:
        tuple[Literal["x1", "x2"], ...] | list[Literal["x1", "x2"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _X1X2Options(TypedDict, total=False):
    covariance: SupportsFloat
    invariance: SupportsFloat
    off_diagonal: SupportsFloat
    reduction: _Reduction
    symmetric: bool
    temperature: SupportsFloat
    validate: bool | None
    variance: SupportsFloat
class _LossX1X2(_X1X2[Any, Any, Any], Loss): ...
class _NumpyLossX1X2(_X1X2[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossX1X2(_X1X2[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossX1X2(_X1X2[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss): ...
class _JaxLossX1X2(_X1X2[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossX1X2(_X1X2[Any, Any, Any], KerasLoss): ...
class _YTrueX1X2(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, y_true: _Given, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None =
        None, wrt: Literal["y_true", "x1", "x2"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, x1: _Given, x2: _Given, *, sample_weight: _Given | None = None, mask: _Given | None =
        None, wrt: tuple[Literal["y_true", "x1", "x2"], ...] | list[Literal["y_true", "x1", "x2"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _YTrueX1X2Options(TypedDict, total=False):
    margin: SupportsFloat
    reduction: _Reduction
    validate: bool | None
class _LossYTrueX1X2(_YTrueX1X2[Any, Any, Any], Loss): ...
class _NumpyLossYTrueX1X2(_YTrueX1X2[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossYTrueX1X2(_YTrueX1X2[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossYTrueX1X2(
    _YTrueX1X2[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossYTrueX1X2(_YTrueX1X2[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossYTrueX1X2(_YTrueX1X2[Any, Any, Any], KerasLoss): ...
class _YTrueYPredLabelLengthsInputLengths(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, y_true: _Given, y_pred: _Given, label_lengths: _Given | None = None, input_lengths: _Given | None = None,
        *, sample_weight: _Given | None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, label_lengths: _Given | None = None, input_lengths: _Given | None = None,
        *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt: Literal["y_pred"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, label_lengths: _Given | None = None, input_lengths: _Given | None = None,
        *, sample_weight: _Given | None = None, mask: _Given | None = None, wrt: tuple[Literal["y_pred"], ...] |
        list[Literal["y_pred"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _YTrueYPredLabelLengthsInputLengthsOptions(TypedDict, total=False):
    blank: SupportsIndex
    normalize: Literal["length"] | None
    reduction: _Reduction
    validate: bool | None
    zero_infinity: bool
class _LossYTrueYPredLabelLengthsInputLengths(_YTrueYPredLabelLengthsInputLengths[Any, Any, Any], Loss): ...
class _NumpyLossYTrueYPredLabelLengthsInputLengths(
    _YTrueYPredLabelLengthsInputLengths[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss
): ...
class _TorchLossYTrueYPredLabelLengthsInputLengths(
    _YTrueYPredLabelLengthsInputLengths[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss
): ...
class _TensorflowLossYTrueYPredLabelLengthsInputLengths(
    _YTrueYPredLabelLengthsInputLengths[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossYTrueYPredLabelLengthsInputLengths(
    _YTrueYPredLabelLengthsInputLengths[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss
): ...
class _KerasLossYTrueYPredLabelLengthsInputLengths(_YTrueYPredLabelLengthsInputLengths[Any, Any, Any], KerasLoss): ...
class _YTrueYPredVar(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, y_true: _Given, y_pred: _Given, var: _Given, *, sample_weight: _Given | None = None, mask: _Given | None =
        None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, var: _Given, *, sample_weight: _Given | None = None, mask: _Given | None =
        None, wrt: Literal["y_true", "y_pred", "var"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, y_pred: _Given, var: _Given, *, sample_weight: _Given | None = None, mask: _Given | None =
        None, wrt: tuple[Literal["y_true", "y_pred", "var"], ...] | list[Literal["y_true", "y_pred", "var"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _YTrueYPredVarOptions(TypedDict, total=False):
    epsilon: SupportsFloat
    full: bool
    reduction: _Reduction
    validate: bool | None
class _LossYTrueYPredVar(_YTrueYPredVar[Any, Any, Any], Loss): ...
class _NumpyLossYTrueYPredVar(_YTrueYPredVar[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossYTrueYPredVar(_YTrueYPredVar[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossYTrueYPredVar(
    _YTrueYPredVar[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossYTrueYPredVar(_YTrueYPredVar[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss): ...
class _KerasLossYTrueYPredVar(_YTrueYPredVar[Any, Any, Any], KerasLoss): ...
class _YTrueFeaturesWeightBias(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, y_true: _Given, features: _Given, weight: _Given, bias: _Given | None = None, *, sample_weight: _Given |
        None = None, mask: _Given | None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, features: _Given, weight: _Given, bias: _Given | None = None, *, sample_weight: _Given |
        None = None, mask: _Given | None = None, wrt: Literal["features", "weight", "bias"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, y_true: _Given, features: _Given, weight: _Given, bias: _Given | None = None, *, sample_weight: _Given |
        None = None, mask: _Given | None = None, wrt: tuple[Literal["features", "weight", "bias"], ...] |
        list[Literal["features", "weight", "bias"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _YTrueFeaturesWeightBiasOptions(TypedDict, total=False):
    ignore_index: SupportsIndex | None
    label_smoothing: SupportsFloat
    reduction: _Reduction
    validate: bool | None
class _LossYTrueFeaturesWeightBias(_YTrueFeaturesWeightBias[Any, Any, Any], Loss): ...
class _NumpyLossYTrueFeaturesWeightBias(_YTrueFeaturesWeightBias[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossYTrueFeaturesWeightBias(
    _YTrueFeaturesWeightBias[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss
): ...
class _TensorflowLossYTrueFeaturesWeightBias(
    _YTrueFeaturesWeightBias[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossYTrueFeaturesWeightBias(
    _YTrueFeaturesWeightBias[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss
): ...
class _KerasLossYTrueFeaturesWeightBias(_YTrueFeaturesWeightBias[Any, Any, Any], KerasLoss): ...
class _AnchorPositiveNegative(Generic[_Given, _Value, _Gradient]):
    def __call__(
        self, anchor: _Given, positive: _Given, negative: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None
    ) -> _Value: ...
    @overload
    def value_and_grad(
        self, anchor: _Given, positive: _Given, negative: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None, wrt: Literal["anchor", "positive", "negative"] | None = None
    ) -> tuple[_Value, _Gradient]: ...
    @overload
    def value_and_grad(
        self, anchor: _Given, positive: _Given, negative: _Given, *, sample_weight: _Given | None = None, mask: _Given |
        None = None, wrt: tuple[Literal["anchor", "positive", "negative"], ...] | list[Literal["anchor", "positive",
        "negative"]]
    ) -> tuple[_Value, tuple[_Gradient, ...]]: ...
class _AnchorPositiveNegativeOptions(TypedDict, total=False):
    epsilon: SupportsFloat
    epsilon_in: Literal["difference", "root"]
    margin: SupportsFloat
    power: SupportsFloat
    reduction: _Reduction
    swap: bool
    validate: bool | None
class _LossAnchorPositiveNegative(_AnchorPositiveNegative[Any, Any, Any], Loss): ...
class _NumpyLossAnchorPositiveNegative(_AnchorPositiveNegative[npt.ArrayLike, Any, npt.NDArray[Any]], NumpyLoss): ...
class _TorchLossAnchorPositiveNegative(_AnchorPositiveNegative[Tensor | npt.ArrayLike, Tensor, Tensor], TorchLoss): ...
class _TensorflowLossAnchorPositiveNegative(
    _AnchorPositiveNegative[tf.Tensor | tf.Variable | npt.ArrayLike, tf.Tensor, tf.Tensor], TensorflowLoss
): ...
class _JaxLossAnchorPositiveNegative(
    _AnchorPositiveNegative[jax.Array | npt.ArrayLike, jax.Array, jax.Array], JaxLoss
): ...
class _KerasLossAnchorPositiveNegative(_AnchorPositiveNegative[Any, Any, Any], KerasLoss): ...
class _CenterOptions(TypedDict, total=False):
    alpha: SupportsFloat
    axis_name: Any
    centers_init: Literal["zeros", "normal"] | npt.ArrayLike
    delta: SupportsFloat
    feature_dim: SupportsIndex | None
    margin: SupportsFloat
    max_classes: SupportsIndex
    num_classes: SupportsIndex | None
    per_feature: bool
    preset: str | None
    process_group: Any
    push: bool
    radius: SupportsFloat | None
    reduction: _Reduction
    seed: SupportsIndex
    sharded: bool
    update: Literal["auto", "manual"]
    validate: bool | None
    weight: SupportsFloat
class _Options(TypedDict, total=False):
    alpha: SupportsFloat | npt.ArrayLike | None
    axis: Sequence[SupportsIndex] | SupportsIndex | None
    axis_name: Any
    base: SupportsFloat
    beta: SupportsFloat
    blank: SupportsIndex
    centers_init: Literal["zeros", "normal"] | npt.ArrayLike
    class_axis: SupportsIndex | None
    class_weight: npt.ArrayLike | None
    classes: npt.ArrayLike | str
    covariance: SupportsFloat
    delta: SupportsFloat
    detach: bool
    epsilon: SupportsFloat
    epsilon_in: Literal["difference", "root"]
    fair: bool
    feature_dim: SupportsIndex | None
    from_logits: bool
    full: bool
    gamma: SupportsFloat
    ignore_index: SupportsIndex | None
    invariance: SupportsFloat
    keras: bool
    label_smoothing: SupportsFloat
    labels: Literal["+-1", "01"]
    log_input: bool
    log_target: bool
    margin: SupportsFloat | SupportsIndex
    max_classes: SupportsIndex
    mining: Literal["hard", "semihard", "all"]
    normalize: Literal["length"] | bool | None
    num_classes: SupportsIndex | None
    off_diagonal: SupportsFloat
    official: bool
    pairs: Literal["mean", "sum"]
    per_feature: bool
    per_image: bool
    plus: bool
    poly_epsilon: SupportsFloat
    pos_weight: SupportsFloat | npt.ArrayLike | None
    positions: npt.ArrayLike | None
    power: SupportsFloat | SupportsIndex
    preset: str | None
    process_group: Any
    push: bool
    q: SupportsFloat
    radius: SupportsFloat | None
    reduction: _Reduction
    scale: SupportsFloat
    seed: SupportsIndex
    sharded: bool
    smooth: SupportsFloat
    squared: bool
    stirling: bool
    swap: bool
    symmetric: bool
    temperature: SupportsFloat
    update: Literal["auto", "manual"]
    validate: bool | None
    variance: SupportsFloat
    weight: SupportsFloat
    zero_infinity: bool
@overload
def get(name: _YTrueYPredName, backend: None = None, **options: Unpack[_YTrueYPredOptions]) -> _LossYTrueYPred: ...
@overload
def get(
    name: _YTrueYPredName, backend: Literal["numpy"], **options: Unpack[_YTrueYPredOptions]
) -> _NumpyLossYTrueYPred: ...
@overload
def get(
    name: _YTrueYPredName, backend: Literal["torch"], **options: Unpack[_YTrueYPredOptions]
) -> _TorchLossYTrueYPred: ...
@overload
def get(
    name: _YTrueYPredName, backend: Literal["tensorflow"], **options: Unpack[_YTrueYPredOptions]
) -> _TensorflowLossYTrueYPred: ...
@overload
def get(
    name: _YTrueYPredName, backend: Literal["jax"], **options: Unpack[_YTrueYPredOptions]
) -> _JaxLossYTrueYPred: ...
@overload
def get(
    name: _YTrueYPredName, backend: Literal["keras"], **options: Unpack[_YTrueYPredOptions]
) -> _KerasLossYTrueYPred: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: None = None, **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _LossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: Literal["numpy"], **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _NumpyLossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: Literal["torch"], **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _TorchLossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: Literal["tensorflow"], **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _TensorflowLossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: Literal["jax"], **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _JaxLossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesWeightName, backend: Literal["keras"], **options: Unpack[_LabelsFeaturesWeightOptions]
) -> _KerasLossLabelsFeaturesWeight: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: None = None, **options: Unpack[_LabelsFeaturesOptions]
) -> _LossLabelsFeatures: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: Literal["numpy"], **options: Unpack[_LabelsFeaturesOptions]
) -> _NumpyLossLabelsFeatures: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: Literal["torch"], **options: Unpack[_LabelsFeaturesOptions]
) -> _TorchLossLabelsFeatures: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: Literal["tensorflow"], **options: Unpack[_LabelsFeaturesOptions]
) -> _TensorflowLossLabelsFeatures: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: Literal["jax"], **options: Unpack[_LabelsFeaturesOptions]
) -> _JaxLossLabelsFeatures: ...
@overload
def get(
    name: _LabelsFeaturesName, backend: Literal["keras"], **options: Unpack[_LabelsFeaturesOptions]
) -> _KerasLossLabelsFeatures: ...
@overload
def get(name: _X1X2Name, backend: None = None, **options: Unpack[_X1X2Options]) -> _LossX1X2: ...
@overload
def get(name: _X1X2Name, backend: Literal["numpy"], **options: Unpack[_X1X2Options]) -> _NumpyLossX1X2: ...
@overload
def get(name: _X1X2Name, backend: Literal["torch"], **options: Unpack[_X1X2Options]) -> _TorchLossX1X2: ...
@overload
def get(name: _X1X2Name, backend: Literal["tensorflow"], **options: Unpack[_X1X2Options]) -> _TensorflowLossX1X2: ...
@overload
def get(name: _X1X2Name, backend: Literal["jax"], **options: Unpack[_X1X2Options]) -> _JaxLossX1X2: ...
@overload
def get(name: _X1X2Name, backend: Literal["keras"], **options: Unpack[_X1X2Options]) -> _KerasLossX1X2: ...
@overload
def get(name: _YTrueX1X2Name, backend: None = None, **options: Unpack[_YTrueX1X2Options]) -> _LossYTrueX1X2: ...
@overload
def get(
    name: _YTrueX1X2Name, backend: Literal["numpy"], **options: Unpack[_YTrueX1X2Options]
) -> _NumpyLossYTrueX1X2: ...
@overload
def get(
    name: _YTrueX1X2Name, backend: Literal["torch"], **options: Unpack[_YTrueX1X2Options]
) -> _TorchLossYTrueX1X2: ...
@overload
def get(
    name: _YTrueX1X2Name, backend: Literal["tensorflow"], **options: Unpack[_YTrueX1X2Options]
) -> _TensorflowLossYTrueX1X2: ...
@overload
def get(name: _YTrueX1X2Name, backend: Literal["jax"], **options: Unpack[_YTrueX1X2Options]) -> _JaxLossYTrueX1X2: ...
@overload
def get(
    name: _YTrueX1X2Name, backend: Literal["keras"], **options: Unpack[_YTrueX1X2Options]
) -> _KerasLossYTrueX1X2: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: None = None, **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _LossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: Literal["numpy"], **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _NumpyLossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: Literal["torch"], **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _TorchLossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: Literal["tensorflow"], **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _TensorflowLossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: Literal["jax"], **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _JaxLossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredLabelLengthsInputLengthsName, backend: Literal["keras"], **options:
    Unpack[_YTrueYPredLabelLengthsInputLengthsOptions]
) -> _KerasLossYTrueYPredLabelLengthsInputLengths: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: None = None, **options: Unpack[_YTrueYPredVarOptions]
) -> _LossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: Literal["numpy"], **options: Unpack[_YTrueYPredVarOptions]
) -> _NumpyLossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: Literal["torch"], **options: Unpack[_YTrueYPredVarOptions]
) -> _TorchLossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: Literal["tensorflow"], **options: Unpack[_YTrueYPredVarOptions]
) -> _TensorflowLossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: Literal["jax"], **options: Unpack[_YTrueYPredVarOptions]
) -> _JaxLossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueYPredVarName, backend: Literal["keras"], **options: Unpack[_YTrueYPredVarOptions]
) -> _KerasLossYTrueYPredVar: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: None = None, **options: Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _LossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: Literal["numpy"], **options: Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _NumpyLossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: Literal["torch"], **options: Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _TorchLossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: Literal["tensorflow"], **options:
    Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _TensorflowLossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: Literal["jax"], **options: Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _JaxLossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _YTrueFeaturesWeightBiasName, backend: Literal["keras"], **options: Unpack[_YTrueFeaturesWeightBiasOptions]
) -> _KerasLossYTrueFeaturesWeightBias: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: None = None, **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _LossAnchorPositiveNegative: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: Literal["numpy"], **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _NumpyLossAnchorPositiveNegative: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: Literal["torch"], **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _TorchLossAnchorPositiveNegative: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: Literal["tensorflow"], **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _TensorflowLossAnchorPositiveNegative: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: Literal["jax"], **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _JaxLossAnchorPositiveNegative: ...
@overload
def get(
    name: _AnchorPositiveNegativeName, backend: Literal["keras"], **options: Unpack[_AnchorPositiveNegativeOptions]
) -> _KerasLossAnchorPositiveNegative: ...
@overload
def get(name: CenterName, backend: Literal["numpy"], **options: Unpack[_CenterOptions]) -> NumpyCenter: ...
@overload
def get(name: CenterName, backend: Literal["torch"], **options: Unpack[_CenterOptions]) -> TorchCenter: ...
@overload
def get(name: CenterName, backend: Literal["tensorflow"], **options: Unpack[_CenterOptions]) -> TensorflowCenter: ...
@overload
def get(name: CenterName, backend: Literal["jax"], **options: Unpack[_CenterOptions]) -> JaxCenter: ...
@overload
def get(name: CenterName, backend: Literal["keras"], **options: Unpack[_CenterOptions]) -> KerasCenter: ...
@overload
def get(name: Definition, backend: None = None, **options: Any) -> Loss: ...
@overload
def get(name: Definition, backend: Literal["numpy"], **options: Any) -> NumpyLoss: ...
@overload
def get(name: Definition, backend: Literal["torch"], **options: Any) -> TorchLoss: ...
@overload
def get(name: Definition, backend: Literal["tensorflow"], **options: Any) -> TensorflowLoss: ...
@overload
def get(name: Definition, backend: Literal["jax"], **options: Any) -> JaxLoss: ...
@overload
def get(name: Definition, backend: Literal["keras"], **options: Any) -> KerasLoss: ...
@overload
def get(name: _NameWithoutCenters, backend: None = None, **options: Unpack[_Options]) -> Loss: ...
@overload
def get(name: LossName, backend: Literal["numpy"], **options: Unpack[_Options]) -> NumpyLoss | NumpyCenter: ...
@overload
def get(name: LossName, backend: Literal["torch"], **options: Unpack[_Options]) -> TorchLoss | TorchCenter: ...
@overload
def get(
    name: LossName, backend: Literal["tensorflow"], **options: Unpack[_Options]
) -> TensorflowLoss | TensorflowCenter: ...
@overload
def get(name: LossName, backend: Literal["jax"], **options: Unpack[_Options]) -> JaxLoss | JaxCenter: ...
@overload
def get(name: LossName, backend: Literal["keras"], **options: Unpack[_Options]) -> KerasLoss | KerasCenter: ...
# Of a call that fits nothing mypy prints all of the above, unless one fits but for the type of the items:
# every str is a Sequence, and none is of these items.
@overload
def get(name: Sequence[_NoSuchLossBackendOrOption], backend: Any = None, **options: Any) -> AnyLoss: ...
@overload
def get_by_name(name: str, backend: Literal["numpy"], **options: Any) -> NumpyLoss | NumpyCenter: ...
@overload
def get_by_name(name: str, backend: Literal["torch"], **options: Any) -> TorchLoss | TorchCenter: ...
@overload
def get_by_name(name: str, backend: Literal["tensorflow"], **options: Any) -> TensorflowLoss | TensorflowCenter: ...
@overload
def get_by_name(name: str, backend: Literal["jax"], **options: Any) -> JaxLoss | JaxCenter: ...
@overload
def get_by_name(name: str, backend: Literal["keras"], **options: Any) -> KerasLoss | KerasCenter: ...
@overload
def get_by_name(name: str, backend: str | None = None, **options: Any) -> AnyLoss: ...
@overload
def from_config(config: Mapping[str, Any], backend: Literal["numpy"]) -> NumpyLoss | NumpyCenter: ...
@overload
def from_config(config: Mapping[str, Any], backend: Literal["torch"]) -> TorchLoss | TorchCenter: ...
@overload
def from_config(config: Mapping[str, Any], backend: Literal["tensorflow"]) -> TensorflowLoss | TensorflowCenter: ...
@overload
def from_config(config: Mapping[str, Any], backend: Literal["jax"]) -> JaxLoss | JaxCenter: ...
@overload
def from_config(config: Mapping[str, Any], backend: Literal["keras"]) -> KerasLoss | KerasCenter: ...
@overload
def from_config(config: Mapping[str, Any], backend: str | None = None) -> AnyLoss: ...
@overload
def port(source: object, to: None = None, *, targets: Literal["labels", "probabilities"] = "labels") -> Loss: ...
@overload
def port(
    source: object, to: Literal["numpy"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> NumpyLoss: ...
@overload
def port(
    source: object, to: Literal["torch"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> TorchLoss: ...
@overload
def port(
    source: object, to: Literal["tensorflow"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> TensorflowLoss: ...
@overload
def port(source: object, to: Literal["jax"], *, targets: Literal["labels", "probabilities"] = "labels") -> JaxLoss: ...
@overload
def port(
    source: object, to: Literal["keras"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> KerasLoss: ...
@overload
def port(
    source: object, to: Literal["torch.nn"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> nn.Module: ...
@overload
def port(
    source: object, to: Literal["optax"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> Callable[..., Any]: ...
@overload
def port(
    source: object, to: Literal["keras.losses"], *, targets: Literal["labels", "probabilities"] = "labels"
) -> keras.losses.Loss: ...
@overload
def port(
    source: object, to: BackendName | None, *, targets: Literal["labels", "probabilities"] = "labels"
) -> LossObject: ...
_Boosted: TypeAlias = Literal[
    "binary_crossentropy", "bce", "binary_focal_crossentropy", "binary_sparsemax", "charbonnier",
    "generalized_cross_entropy", "half_squared_error", "hinge", "hinge_embedding", "huber", "huber_loss", "log_cosh",
    "logcosh", "log_cosh_loss", "mean_absolute_error", "mae", "mean_absolute_percentage_error", "mape",
    "mean_squared_error", "mse", "mean_squared_logarithmic_error", "msle", "multi_margin", "multiclass_hinge",
    "multiclass_perceptron", "multilabel_soft_margin", "nll", "perceptron", "poisson", "poisson_nll", "quantile",
    "pinball", "smooth_l1", "smooth_l1_loss", "soft_margin", "sparse_categorical_crossentropy", "scce",
    "sparse_categorical_focal_crossentropy", "sparse_poly_cross_entropy", "sparsemax", "squared_hinge", "squentropy",
    "symmetric_mean_absolute_percentage_error", "smape", "tweedie"
]
def objective(
    name: _Boosted | Definition, library: Literal["lightgbm", "xgboost", "catboost"], *, hessian: Literal["auto",
    "exact", "constant"] = "auto", **given: Unpack[_YTrueYPredOptions]
) -> Objective: ...
