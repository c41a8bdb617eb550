"""Center loss as an `nn.Module`: the centers are a buffer, which no optimizer and no autograd sees."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import uuid
import warnings
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from multiloss.center import CenterOptions, all_names, one_row, step
from multiloss.center.centers import Lock
from multiloss.center.objects import CenterMethods
from multiloss.engine import checks
from multiloss.engine.objects import with_options
from multiloss_torch import arrays as be
from multiloss_torch import checkpointing, compat, distributed, fast_center, mode

_unshaped: weakref.WeakSet[TorchCenter] = weakref.WeakSet()
"""Losses without centers yet. A copy of one has the number of the original."""


@with_options(all_names())
class TorchCenter(CenterMethods, compat.Table):
    """`center(labels, features)` is differentiable by the features; in training mode the centers move, once a call.

    Nothing moves in evaluation mode (`.eval()`) or where torch records no gradients (`no_grad`, `inference_mode`).
    """

    backend = "torch"
    centers: Tensor
    _takes_over = False
    """Whether torch assigns the centers now, so that the tensor itself is taken. Of what users assign, values are
    copied."""

    def __init__(self, chosen: CenterOptions) -> None:
        compat.Table.__init__(self)
        self.options: CenterOptions = dataclasses.replace(chosen, process_group=None)
        self._turn = Lock()
        self._choice = distributed.Choice(chosen.process_group)
        self._agreed = False
        """Whether all processes have the same centers, for all that is known (`distributed.Processes.check`)."""
        self._seen: set[Any] = set()
        """Kinds of batches that went through all checks once, and that `fast_center` takes."""
        self.register_buffer("centers", torch.zeros(0, 0))
        self._number, self._is_copy = uuid.uuid4().hex, False
        _unshaped.add(self)
        self._begin()

    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.forward)

    @property
    def _table(self) -> Tensor:
        return self.centers

    if TYPE_CHECKING:  # torch says of calls of a module only that they take anything

        def __call__(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None) -> Tensor: ...

    def forward(self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None) -> Tensor:
        """The value with the centers from before; then, in training mode, they move once by Eq. 4."""
        given = labels, features, sample_weight, mask
        leaf = None if torch.compiler.is_compiling() else mode.as_leaf(self, given, {})
        if leaf is not None:
            return leaf
        with self._alone():
            eager = sample_weight is None and mask is None and not torch.compiler.is_compiling()
            kind = mode.kind_of((labels, features)) if eager else None
            if kind is not None and kind in self._seen and self._steps_alone():
                done = fast_center.step(self.options, self.centers, labels, features)
                if done is not None:
                    value, moving, rows = done
                    self.centers.index_copy_(0, moving, rows)
                    return value
            value = self._evaluate(given)[0]
            if kind is not None and fast_center.applies(self.options, self.centers, labels, features):
                self._seen.add(kind)
            return value

    def _alone(self) -> Any:
        """The lock, which compiled code goes without."""
        return contextlib.nullcontext() if torch.compiler.is_compiling() else self._turn

    def _steps_alone(self) -> bool:
        """Whether this call moves the centers, and is outside of checkpointed regions and process groups."""
        if not (self.training and torch.is_grad_enabled() and self.options.update == "auto"):
            return False
        return not checkpointing.is_possible(True) and self._choice.processes(self.centers.device) is None

    def update(self, labels: Any, features: Any, mask: Any = None) -> None:
        """Move the centers once by Eq. 4, whatever `update` and the mode say."""
        if checkpointing.is_possible() and checkpointing.regions()[1] is not None:
            return  # recomputed: the first pass of the region has moved them
        with self._alone(), torch.no_grad():
            _, where_to, rows, _ = self._step((labels, features, None, mask), True)
            self._commit(where_to, rows)

    def value_and_grad(  # type: ignore[override]  # the mode is the module's
        self, labels: Any, features: Any, sample_weight: Any = None, mask: Any = None, *, wrt: Any = "features"
    ) -> tuple[Tensor, Any]:
        """The value, and its gradient with respect to the features; in training mode the centers move once."""
        return super().value_and_grad(labels, features, sample_weight, mask, training=self.training, wrt=wrt)

    def _run(self, given: Any, updates: bool, differentiate: bool = False) -> tuple[Tensor, Tensor]:
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            with self._alone():
                value, leaf = self._evaluate(given, leaf=True, recorded=recorded)
            (gradient,) = torch.autograd.grad(value.sum(), [leaf])
        return value.detach(), gradient

    def init_state(self) -> dict[str, Tensor]:
        """The first state for the pure `step`, {"centers": (num_classes, feature_dim)}, where the module is."""
        return {name: x.to(self.centers.device) for name, x in super().init_state().items()}

    def step(
        self,
        state: dict[str, Tensor],
        labels: Any,
        features: Any,
        training: bool = True,
        *,
        sample_weight: Any = None,
        mask: Any = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The pure core: the value with the centers of `state`, and the state after Eq. 4; `sample_weight`, `mask`."""
        centers = state["centers"]
        if isinstance(centers, Tensor) and isinstance(features, Tensor) and features.device != centers.device:
            raise checks.two_devices("features", features.device, centers.device, "the state's table of centers")
        return super().step(state, labels, features, training, sample_weight=sample_weight, mask=mask)

    def _evaluate(
        self, given: tuple[Any, ...], leaf: bool = False, recorded: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        """The value and the features (as a new `leaf` of autograd, if wanted). In training mode the centers move, if
        gradients of the caller are `recorded`."""
        recorded = torch.is_grad_enabled() if recorded is None else recorded
        may_move = self.training and self.options.update == "auto"
        updates = may_move and recorded
        first_passes: list[Any] = []
        if checkpointing.is_possible(recorded):
            first_passes, recomputed = checkpointing.regions()
            read = None if recomputed is None else checkpointing.recall(recomputed, self)
            if read is not None:
                return self._recompute(given, leaf, first_passes, read)
            updates = recomputed is None and (updates or (may_move and checkpointing.is_trained(first_passes)))
        value, where_to, rows, features = self._step(given, updates, leaf, first_passes)
        if where_to is not None:
            self._commit(where_to, rows)
        return value, features

    def _remember(self, centers: Tensor, labels: Tensor, labels_checked: bool, first_passes: Sequence[Any]) -> None:
        """Keep what this call reads, for the recomputation of the regions."""
        if self.options.table.compares:
            table, places = centers.clone(), None
        else:
            labels = labels.to(torch.int64)
            known = (labels >= 0) & (labels < centers.shape[0])
            places = torch.arange(labels.numel(), device=labels.device).reshape(labels.shape).where(known, -1)
            table = centers[labels.where(known, 0).reshape(-1)]
        checkpointing.remember(first_passes, self, checkpointing.Read(table, places, labels_checked))

    def _recompute(
        self, given: tuple[Any, ...], leaf: bool, first_passes: list[Any], read: checkpointing.Read
    ) -> tuple[Tensor, Tensor]:
        """The value of a first pass again, with what that read. It checked everything, too, and moved the centers."""
        checkpointing.remember(first_passes, self, read)
        labels, features, *rest = super()._native(*given)
        features = _leaf_of(features) if leaf else features
        places = labels if read.places is None else read.places
        value, _, _ = step(
            be, self.options, read.table, places, features, *rest, training=False, labels_checked=read.labels_checked
        )  # fmt: skip
        return value, features

    def _step(
        self, given: tuple[Any, ...], updates: bool, leaf: bool = False, first_passes: Sequence[Any] = ()
    ) -> tuple[Any, Any, Any, Tensor]:
        group = self._choice.processes(self.centers.device) if updates else None
        checked, labels_checked = self._checked(given, leaf, group)
        centers = self.centers
        if self.options.table.one_row and group is not None and bool(centers.isnan()):
            # All processes together find the first value of that row. A recomputation is alone, and reads it.
            labels, x, _, mask = checked
            centers = one_row(be, self.options.table, centers, labels, x, mask, group)[1]
        if first_passes:
            self._remember(centers, checked[0], labels_checked, first_passes)
        if updates and torch.compiler.is_compiling():
            checked = checkpointing.in_first_pass(checked[0]), *checked[1:]
        done = step(be, self.options, centers, *checked, training=updates, labels_checked=labels_checked, group=group)
        return *done, checked[1]

    def _native(self, labels: Any, features: Any, sample_weight: Any, mask: Any) -> list[Any]:
        """On the device of the table, where lists and NumPy arrays are put."""
        table = self.centers.device if self.centers.numel() else None
        if table is not None and not be.is_native(features):
            features = be.asarray(features, None, "features").to(table)
        arrays = super()._native(labels, features, sample_weight, mask)
        if not torch.compiler.is_compiling() and any(map(compat.is_transformed, arrays[:2])):
            raise RuntimeError(
                "a center loss holds state, which torch.func cannot see; use the pure init_state() and step() there"
            )
        if table is not None and arrays[1].device != table:
            raise checks.two_devices("features", arrays[1].device, table, "the loss's table of centers")
        checkpointing.check_regions()
        return arrays

    def _checked(self, given: tuple[Any, ...], leaf: bool, group: Any = None) -> tuple[tuple[Any, ...], bool]:
        """Checked arrays, with a table that fits them, and whether the labels are known to be in range. What one
        process of a group refuses, all do, and no table has changed."""
        if group is None:
            (labels, features, *rest), labels_checked = self._ready(given)
            return (labels, _leaf_of(features) if leaf else features, *rest), labels_checked
        before = self.centers
        try:
            return group.check(self, lambda: self._checked(given, leaf))
        except BaseException:
            self._hold(before)
            raise

    def _synchronisation(self) -> str:
        group = self._choice.processes(self.centers.device)
        return super()._synchronisation() if group is None else f"one table over {group.size} processes, at each step"

    def _commit(self, labels: Tensor, rows: Tensor) -> None:
        be.write_rows(self.centers, labels, rows)
        self._choice.exchanged()

    def _set(self, centers: np.ndarray, like: Tensor | None) -> None:
        self._agreed, old = False, self.centers
        with torch.inference_mode(False):  # a tensor made in inference mode could not be written to in training
            new = be.centers_array(centers, old if old.numel() else like)
            new = new.to(old.device) if like is None else new
            alike = all(getattr(old, name) == getattr(new, name) for name in ("shape", "dtype", "device"))
            if alike and not old.is_meta and not old.is_inference():
                with torch.no_grad():
                    old.copy_(new)  # in place, for other processes and CUDA graphs that share the buffer
            else:
                if like is not None and self in _unshaped:
                    self._warn_of_copies()
                self._hold(new)

    def _warn_of_copies(self) -> None:
        """At the first batch; a checkpoint may well be loaded into each copy."""
        # One copy is an average or a spare; several are folds or an ensemble, each trained by itself.
        if not self._is_copy and [one._number for one in _unshaped if one is not self].count(self._number) == 1:
            warnings.warn(
                "a copy of this center loss was made before its first batch, and has no centers yet. If the copy is an "
                "average (AveragedModel, EMA, SWA), torch cannot copy centers into it: make the loss with num_classes= "
                "and feature_dim=, or with num_classes= and the average after the first batch",
                stacklevel=11,  # the line that calls the loss
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._is_copy = True
        if not self.centers.numel():
            _unshaped.add(self)

    def _assign(self, centers: Any) -> None:
        """A table on meta has no memory to copy into, so it is put where the values are: loaders make a model on meta
        and assign its tensors (transformers' `from_pretrained`)."""
        before = self.centers
        if before.is_meta and isinstance(centers, Tensor):
            self._hold(torch.zeros_like(before, device=centers.device))
        try:
            super()._assign(centers)
        except BaseException:
            self._hold(before)
            raise

    def _hold(self, centers: Tensor) -> None:
        """Take this tensor itself as the buffer."""
        if centers.numel():
            _unshaped.discard(self)
        compat.Table.__setattr__(self, "centers", centers)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "centers" and self._takes_over:
            self._hold(value)
        else:
            super().__setattr__(name, value)

    def _replicated(self) -> Any:
        """`nn.DataParallel` assigns each replica the centers on its own device."""
        replica = super()._replicated()
        replica._takes_over = True
        return replica

    def _converted(self, fn: Any, recurse: bool) -> Any:
        """`.to()`, `.half()` and the like: the centers move, but stay float32 at least."""
        before = self.centers
        super()._converted(fn, recurse)
        if self.centers.dtype in (torch.float16, torch.bfloat16):
            self._hold(before.to(self.centers.device))
        return self

    def _loaded(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take the shape of the checkpoint while there are no centers yet."""
        saved = state_dict.get(f"{prefix}centers")
        if saved is not None and self.centers.numel() == 0 and saved.ndim == 2:
            wanted = (self.options.num_classes or saved.shape[0], self.options.feature_dim or saved.shape[1])
            if tuple(saved.shape) == wanted:
                self._hold(torch.zeros_like(saved, device=self.centers.device))
        elif saved is not None and not self.options.sharded and saved.shape != self.centers.shape:
            args[-1].append(  # torch says what is wrong, this what to do
                f"{prefix}centers of another number of classes are taken over by save_centers(path) and "
                f"load_centers(path, resize=True)"
            )
        self._takes_over = True  # `assign=True` sets the attribute
        try:
            super()._loaded(state_dict, prefix, *args)
        finally:
            self._takes_over = False
        self._agreed = False
        if self.centers.dtype in (torch.float16, torch.bfloat16):
            self._hold(self.centers.float())


def _leaf_of(features: Tensor) -> Tensor:
    """The features as a new leaf of autograd."""
    return (features if features.is_floating_point() else be.compute(features)).detach().requires_grad_()


def keep_out_of_broadcast(model: torch.nn.Module) -> torch.nn.Module:
    """Keep `DistributedDataParallel(model)` from broadcasting the centers in every forward pass; call it before that.

    The centers are the same in all processes after every step, so the broadcast of a large table is wasted time. A
    center loss outside of the model, as criteria are, is not broadcast anyway.

    Args:
        model: holds one center loss or more.

    Returns:
        The model.

    Example:
        >>> model = DistributedDataParallel(multiloss.torch.keep_out_of_broadcast(model))  # doctest: +SKIP
    """
    names = [
        f"{name}.centers" if name else "centers"
        for name, module in model.named_modules()
        if isinstance(module, TorchCenter)
    ]
    compat.keep_out_of_broadcast(model, names)
    return model
