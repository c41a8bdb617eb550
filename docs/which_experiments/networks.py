"""What a loss does to a small network: wrong labels, false confidence, few images of a class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

import multiloss
from which_experiments.center import digits, distances, pairs
from which_experiments.common import COLOURS, Net, Table, fit, read, save, write


def noisy_labels() -> None:
    """Digits, 40 % of whose training labels are drawn anew."""
    losses = {
        "scce": multiloss.get("scce", backend="torch", from_logits=True),
        "scce, label_smoothing=0.2": multiloss.get("scce", backend="torch", from_logits=True, label_smoothing=0.2),
        "generalized_cross_entropy, q=0.7": multiloss.get(
            "generalized_cross_entropy", backend="torch", from_logits=True
        ),
        "scce, no wrong labels": multiloss.get("scce", backend="torch", from_logits=True),
    }
    epochs = 60
    table = Table("loss", {"best epoch": "{:.1f} ± {:.1f} %", f"epoch {epochs}": "{:.1f} ± {:.1f} %"})
    x, y, x_test, y_test = digits()
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axis = figure.subplots()
    for i, (name, loss) in enumerate(losses.items()):
        curves = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            labels = y.copy()
            if "no wrong" not in name:
                drawn = rng.random(len(y)) < 0.4
                labels[drawn] = rng.integers(0, 10, drawn.sum())
            torch.manual_seed(seed)
            net, curve = Net(64, 64, 10, hidden=256), []

            def wanted(labels: Any, features: Any, out: Any, loss: Any = loss) -> Any:
                return loss(labels, out)

            def watch(net: Net = net, curve: list[float] = curve) -> None:
                curve.append(100 * float((read(net, x_test)[1].argmax(-1) == y_test).mean()))

            fit(net, x, labels, wanted, epochs=epochs, seed=seed, after=watch)
            curves.append(curve)
            table.add(name, [max(curve), curve[-1]])
        mean = np.mean(curves, 0)
        axis.plot(
            np.arange(1, epochs + 1), mean, color=COLOURS[i], label=name, linestyle="--" if "no wrong" in name else "-"
        )
        axis.fill_between(
            np.arange(1, epochs + 1), np.min(curves, 0), np.max(curves, 0), color=COLOURS[i], alpha=0.2, linewidth=0
        )
    axis.set_xlabel("epoch")
    axis.set_ylabel("accuracy on right labels, %")
    axis.set_ylim(60, 100)
    axis.legend(loc="lower left")
    save(figure, "noisy-labels")
    write({"noisy labels": table})


def confidence() -> None:
    """How sure a network is: on its test images, and far from all data."""
    losses = {
        "scce": multiloss.get("scce", backend="torch", from_logits=True),
        "scce, label_smoothing=0.1": multiloss.get("scce", backend="torch", from_logits=True, label_smoothing=0.1),
        "focal, gamma=2": multiloss.get("sparse_categorical_focal_crossentropy", backend="torch", from_logits=True),
    }
    columns = {"accuracy": "{:.1f} ± {:.1f} %", "mean probability": "{:.1f} ± {:.1f} %"}
    table = Table(
        "loss",
        {
            **columns,
            "negative log likelihood": "{:.3f} ± {:.3f}",
            "surer than 90 %, of random pixels": "{:.0f} ± {:.0f} %",
        },
    )
    x, y, x_test, y_test = digits()
    nll = multiloss.get("scce", backend="numpy", from_logits=True)
    strange = np.random.default_rng(0).choice(x.reshape(-1), (500, 64))
    for name, loss in losses.items():
        for seed in range(5):
            rows = np.random.default_rng(seed).permutation(len(x))[:300]
            torch.manual_seed(seed)
            net = Net(64, 64, 10, hidden=256)
            fit(net, x[rows], y[rows], lambda labels, _, out, loss=loss: loss(labels, out), epochs=100, seed=seed)
            logits = read(net, x_test)[1]
            p = multiloss.softmax(logits)
            sure = multiloss.softmax(read(net, strange)[1]).max(-1) > 0.9
            accuracy = 100 * (p.argmax(-1) == y_test).mean()
            table.add(name, [accuracy, 100 * p.max(-1).mean(), float(nll(y_test, logits)), 100 * sure.mean()])
    write({"confidence": table})

    rng = np.random.default_rng(0)
    means = 2.2 * np.array([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])
    labels = np.repeat(np.arange(3), 60)
    points = means[labels] + 0.6 * rng.standard_normal((180, 2))
    grid = np.linspace(-12, 12, 241)
    plane = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    center = multiloss.get("center", backend="torch", num_classes=3, feature_dim=16)

    def with_center(labels: Any, features: Any, out: Any) -> Any:
        return losses["scce"](labels, out) + 0.1 * center(labels, features)

    plain = {name: (lambda labels, _, out, loss=loss: loss(labels, out)) for name, loss in losses.items()}
    for axis, (title, loss) in zip(
        axes,
        [
            ("probability of the class, scce", plain["scce"]),
            ("the same, label_smoothing=0.1", plain["scce, label_smoothing=0.1"]),
            ("exp(-distance to the nearest center)", with_center),
        ],
        strict=True,
    ):
        torch.manual_seed(0)
        net = Net(2, 16, 3, hidden=64)
        fit(net, points, labels, loss, epochs=200, seed=0)
        features, out = read(net, plane)
        score = multiloss.softmax(out).max(-1)
        if loss is with_center:
            near = np.linalg.norm(features[:, None] - center.centers.numpy(), axis=-1).min(-1)
            score = np.exp(-near)
        shown = axis.pcolormesh(grid, grid, score.reshape(241, 241), cmap="viridis", vmin=0, vmax=1, rasterized=True)
        for k, colour in enumerate(("white", "black", COLOURS[1])):
            axis.scatter(*points[labels == k].T, s=5, color=colour, linewidths=0)
        axis.set_title(title)
        axis.set_aspect("equal")
        axis.grid(visible=False)
    figure.colorbar(shown, ax=axes, shrink=0.9)
    save(figure, "confidence")


def pk_batches(classes: int, persons: int, images: int) -> Any:
    """Batches of all images of `persons` classes, of which the set has `images` each, class after class."""

    def batches(order: torch.Generator) -> Any:
        for chosen in torch.randperm(classes, generator=order).split(persons):
            yield (images * chosen[:, None] + torch.arange(images)).reshape(-1)

    return batches


def few_pairs() -> None:
    """100 classes of 4 images: what the batches and the choice of the triplets make of them."""
    together = pk_batches(100, 10, 4)

    def triplet(mining: str) -> Any:
        return multiloss.get("triplet", backend="torch", mining=mining, normalize=True)

    rows: dict[str, Any] = {
        'triplet, mining="hard", 40 random images': (triplet("hard"), None),
        'triplet, mining="all"': (triplet("all"), together),
        'triplet, mining="semihard"': (triplet("semihard"), together),
        'triplet, mining="hard"': (triplet("hard"), together),
        "supervised_contrastive": (multiloss.get("supervised_contrastive", backend="torch", temperature=0.1), together),
        "multi_similarity": (multiloss.get("multi_similarity", backend="torch"), together),
        "scce of a classifier": (None, None),
    }
    ce = multiloss.get("scce", backend="torch", from_logits=True)
    epochs, columns = (
        60,
        {
            "nearest neighbour right": "{:.1f} ± {:.1f} %",
            "of 100 triplets with a gradient, epoch 1": "{:.0f} ± {:.0f}",
            "epoch 60": "{:.1f} ± {:.1f}",
        },
    )
    table = Table("loss (10 classes × 4 images in a batch)", columns)
    x, y, x_test, y_test = pairs((4, 20))
    labels = y[:100]  # of which the triplets are counted
    same = labels[:, None] == labels
    triplets = (same & ~np.eye(100, dtype=bool))[:, :, None] & ~same[:, None, :]
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axis = figure.subplots()
    for i, (name, (loss, batches)) in enumerate(rows.items()):
        curves = []
        for seed in range(5):
            torch.manual_seed(seed)
            net, active, curve = Net(128, 32, 100), [], []

            def watch(net: Net = net, active: list[float] = active, curve: list[float] = curve) -> None:
                have, new = (unit(read(net, of)[0]) for of in (x, x_test))
                gaps = distances(have[:100], have[:100])
                active.append(100 * float(((gaps[:, :, None] - gaps[:, None, :])[triplets] > -0.2).mean()))
                curve.append(100 * float((y[distances(new, have).argmin(-1)] == y_test).mean()))

            def wanted(labels: Any, features: Any, out: Any, loss: Any = loss) -> Any:
                return ce(labels, out) if loss is None else loss(labels, features)

            fit(net, x, y, wanted, epochs=epochs, seed=seed, batch=40, batches=batches, after=watch)
            table.add(name, [curve[-1], active[0], active[-1]])
            curves.append(curve)
        look = {"linestyle": "-" if loss is not None and batches is not None else "--"}
        axis.plot(np.arange(1, epochs + 1), np.mean(curves, 0), color=["0.4", *COLOURS][i], label=name, **look)
    axis.set_xlabel("epoch, 10 batches of 40")
    axis.set_ylabel("nearest neighbour right, %")
    axis.legend(loc="lower right", fontsize=9)
    save(figure, "few-pairs")
    write({"few pairs": table})


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
