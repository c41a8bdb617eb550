"""When center loss helps, and where it does harm.

All networks are trained by torch on scikit-learn's digits of 8 x 8 pixels, or on two of them side by side, which makes
100 classes.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

import multiloss
from multiloss.demo import data
from which_experiments.common import COLOURS, Net, Table, fit, mean_and_spread, read, save, write

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training images and labels, test images and labels."""
LAMBDAS = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0)
SEEDS = 5


def digits() -> Split:
    """10 classes, 1437 + 360 images."""
    have = data.load("digits")
    return have.x_train.reshape(-1, 64), have.y_train, have.x_test.reshape(-1, 64), have.y_test


def pairs(per_class: tuple[int, int] = (60, 20)) -> Split:
    """100 classes: two digits side by side; the images of the test are made of the digits of the test."""
    rng = np.random.default_rng(0)
    have, found = digits(), []
    for images, labels, count in ((*have[:2], per_class[0]), (*have[2:], per_class[1])):
        left, right = np.divmod(np.repeat(np.arange(100), count), 10)
        chosen = [[rng.choice(np.flatnonzero(labels == digit)) for digit in side] for side in (left, right)]
        found += [np.concatenate([images[rows] for rows in chosen], -1), 10 * left + right]
    return tuple(found)  # type: ignore[return-value]


def known_and_unknown(all_: Split, known: np.ndarray) -> tuple[Split, np.ndarray, np.ndarray]:
    """The classes in `known`, numbered from 0; the test images of the others, and their labels."""
    number = np.full(int(all_[1].max()) + 1, -1)
    number[known] = np.arange(len(known))
    train, test = number[all_[1]] >= 0, number[all_[3]] >= 0
    split = all_[0][train], number[all_[1][train]], all_[2][test], number[all_[3][test]]
    return split, all_[2][~test], all_[3][~test]


def known_classes(of: int, count: int, seed: int) -> np.ndarray:
    """Which classes training sees."""
    return np.sort(np.random.default_rng(seed).permutation(of)[:count])


def distances(x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Of each row to each center."""
    return np.sqrt(np.maximum((x**2).sum(-1)[:, None] + (centers**2).sum(-1) - 2 * x @ centers.T, 0))


def train(split: Split, dim: int, weight: float, seed: int, *, epochs: int, cosine: float = 0.0, softmax: float = 1.0,
          margin: float = 0.0, decay: float = 0.0, **options: object) -> tuple[Net, np.ndarray]:  # fmt: skip
    """The network that minimises softmax * cross entropy (with a margin: ArcFace) + weight * center loss, and its
    centers: the learned ones, or without center loss the class means of the training."""
    torch.manual_seed(seed)
    classes = int(split[1].max()) + 1
    net = Net(split[0].shape[1], dim, classes, cosine=cosine)
    ce = multiloss.get("scce", backend="torch", from_logits=True)
    arcface = multiloss.get("arcface", backend="torch", scale=cosine or 1.0, margin=margin)
    center = multiloss.get("center", backend="torch", num_classes=classes, feature_dim=dim, **options)

    def loss(labels: torch.Tensor, features: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        value = arcface(labels, features, net.head.weight) if margin else ce(labels, outputs)
        return softmax * value + weight * center(labels, features) if weight else value

    fit(net, *split[:2], loss, epochs=epochs, seed=seed, decay=decay)
    if weight:
        return net, center.centers.numpy()
    features = read(net, split[0])[0]
    return net, np.stack([features[split[1] == k].mean(0) for k in range(classes)])


def spread(features: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean distance to the mean of the class, and the smallest distance of two such means."""
    means = np.stack([features[labels == k].mean(0) for k in np.unique(labels)])
    within = np.linalg.norm(features - means[np.searchsorted(np.unique(labels), labels)], axis=-1).mean()
    between = distances(means, means)
    return float(within), float(between[~np.eye(len(means), dtype=bool)].min())


def same_or_not(features: np.ndarray, labels: np.ndarray) -> float:
    """The area under the ROC curve of telling by their distance whether two images show the same class."""
    upper = np.triu_indices(len(labels), 1)
    return float(roc_auc_score(labels[upper[0]] == labels[upper[1]], -distances(features, features)[upper]))


def rejection(known: np.ndarray, unknown: np.ndarray) -> float:
    """The area under the ROC curve of a score that should be higher for known classes."""
    return float(roc_auc_score(np.r_[np.ones(len(known)), np.zeros(len(unknown))], np.r_[known, unknown]))


def measured(net: Net, centers: np.ndarray, split: Split, unknown: np.ndarray, names: np.ndarray) -> list[float]:
    """Accuracy, rejection by probability and by distance, same or not among unknown classes, within / between."""
    (features, logits), (strange, strange_logits) = read(net, split[2]), read(net, unknown)
    sure = [multiloss.softmax(z).max(-1) for z in (logits, strange_logits)]
    near = [-distances(x, centers).min(-1) for x in (features, strange)]
    within, between = spread(features, split[3])
    return [
        100 * float((logits.argmax(-1) == split[3]).mean()),
        rejection(*sure),
        rejection(*near),
        same_or_not(strange, names),
        within / between,
    ]


SETTINGS = {
    "3 of 10 digits": (digits, 3, 32, 40),
    "8 of 10 digits": (digits, 8, 32, 40),
    "80 of 100 pairs": (pairs, 80, 32, 20),
}
COLUMNS = {
    "accuracy, known classes": "{:.1f} ± {:.1f} %",
    "unknown or not, by probability": "{:.3f} ± {:.3f}",
    "unknown or not, by distance": "{:.3f} ± {:.3f}",
    "same or not, two unknown": "{:.3f} ± {:.3f}",
    "within / between": "{:.2f} ± {:.2f}",
}


def helps() -> None:
    """Few and many classes, over lambda."""
    tables = {}
    for name, (make, classes, dim, epochs) in SETTINGS.items():
        everything = make()
        table = tables[f"center, {name}"] = Table("λ", COLUMNS)
        for weight in LAMBDAS:
            for seed in range(SEEDS):
                known = known_classes(int(everything[1].max()) + 1, classes, seed)
                split, unknown, names = known_and_unknown(everything, known)
                net, centers = train(split, dim, weight, seed, epochs=epochs)
                table.add(f"{weight:g}", measured(net, centers, split, unknown, names))
    write(tables)
    figure = Figure(figsize=(9.5, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        for i, column in enumerate(list(COLUMNS)[:4]):
            cells = [mean_and_spread(row[i]) for row in table.rows.values()]
            scale = 0.01 if i == 0 else 1.0
            mean, deviation = scale * np.array(cells).T
            axis.errorbar(
                np.arange(len(LAMBDAS)) + 0.06 * (i - 1.5),
                mean,
                deviation,
                color=["0.45", *COLOURS][i],
                linestyle="--" if i == 0 else "-",
                marker="o",
                markersize=4,
                capsize=2,
                linewidth=1.6,
                label=column,
            )
        axis.set_xticks(range(len(LAMBDAS)), [f"{weight:g}" for weight in LAMBDAS])
        axis.set_title(name.removeprefix("center, ") + " known")
        axis.set_xlabel("λ, the weight of center loss")
    axes[0].set_ylabel("accuracy, or area under ROC curve")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    save(figure, "center")


def open_set() -> None:
    """Features in the plane, with images of two digits that training never saw."""
    split, unknown, _ = known_and_unknown(digits(), np.arange(8))
    figure = Figure(figsize=(9.5, 4.9), layout="constrained")
    axes = figure.subplots(1, 2)
    grey = "0.15"
    for axis, weight in zip(axes, (0.0, 0.1), strict=True):
        net, centers = train(split, 2, weight, 0, epochs=80)
        features, strange = read(net, split[2])[0], read(net, unknown)[0]
        unit = spread(features, split[3])[1]  # in units of the smallest distance of two classes
        near = distances(features, centers).min(-1)
        for k in range(8):
            mine = features[split[3] == k] / unit
            axis.scatter(*mine.T, s=9, color=f"C{k}", alpha=0.7, linewidths=0)
            axis.scatter(*(centers[k] / unit), s=90, facecolor="white", edgecolor="black", zorder=3)
            axis.text(*(centers[k] / unit), str(k), ha="center", va="center_baseline", fontsize=8, zorder=4)
        axis.scatter(*(strange / unit).T, s=16, marker="x", color=grey, linewidths=0.8, label="8 and 9, never seen")
        score = rejection(-near, -distances(strange, centers).min(-1))
        axis.set_title(
            ("softmax" if not weight else "softmax + 0.1 center loss") + f": rejection by distance {score:.3f}"
        )
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel("feature 1, in distances of the two nearest classes")
        print(axis.get_title())
    axes[0].set_ylabel("feature 2")
    axes[0].legend(loc="upper left")
    save(figure, "open-set")


NAMES = {"accuracy": "{:.1f} ± {:.1f} %", "within a class": "{:.3f} ± {:.3f}", "within / between": "{:.2f} ± {:.2f}"}


def compare(name: str, first: str, split: Split, rows: dict[str, dict[str, object]]) -> None:
    """Accuracy and spread of trainings that differ in some options, 3 seeds each."""
    table = Table(first, NAMES)
    for row, options in rows.items():
        for seed in range(3):
            net, centers = train(split, seed=seed, **{"dim": 32, "weight": 0.0, "epochs": 20} | options)  # type: ignore[arg-type]
            features, logits = read(net, split[2])
            guess = logits.argmax(-1) if options.get("softmax", 1.0) else distances(features, centers).argmin(-1)
            within, between = spread(features, split[3])
            table.add(row, [100 * float((guess == split[3]).mean()), within, within / between])
    write({name: table})


def too_much() -> None:
    """Lambda far too large, and center loss alone."""
    rows = {f"λ = {w:g}": {"dim": 2, "weight": w, "epochs": 40} for w in (0.0, 0.1, 1.0, 10.0, 100.0)}
    alone = {"center loss alone": {"dim": 2, "weight": 1.0, "softmax": 0.0, "epochs": 40}}
    compare("center, too much", "ten digits, 2 features", digits(), rows | alone)


def kinds() -> None:
    """Two classes of five digits each, with one center each: can the digit still be read off the features?"""
    x, y, x_test, y_test = digits()
    table = Table("odd or even, 8 features", {**NAMES, "digit of the nearest neighbour": "{:.1f} ± {:.1f} %"})
    for weight in (0.0, 0.1, 1.0, 10.0):
        for seed in range(3):
            net, _ = train((x, y % 2, x_test, y_test % 2), 8, weight, seed, epochs=40)
            (have, _), (features, logits) = read(net, x), read(net, x_test)
            within, between = spread(features, y_test % 2)
            right = [logits.argmax(-1) == y_test % 2, y[distances(features, have).argmin(-1)] == y_test]
            table.add(f"λ = {weight:g}", [100 * right[0].mean(), within, within / between, 100 * right[1].mean()])
    write({"center, classes of several kinds": table})


def slow() -> None:
    """Centers that lag behind their classes."""
    rows: dict[str, dict[str, object]] = {
        "no center loss": {},
        "`alpha=0.5`": {"weight": 0.1},
        "`alpha=0.01`": {"weight": 0.1, "alpha": 0.01},
        '`preset="jxgu1016"`': {"weight": 0.1, "preset": "jxgu1016"},
        '`preset="kaiyangzhou"`, λ = 0.05': {"weight": 0.05, "preset": "kaiyangzhou"},
    }
    compare("center, slow centers", "100 pairs, 32 features, λ = 0.1", pairs((30, 20)), rows)


def unit_features() -> None:
    """Features of length 1."""
    rows = {
        "no center loss": {},
        "λ = 0.1": {"weight": 0.1},
        "λ = 1": {"weight": 1.0},
        "λ = 10": {"weight": 10.0},
        "λ = 10, `alpha=0.01`": {"weight": 10.0, "alpha": 0.01},
    }
    text = "100 pairs, 32 features of length 1, cosine softmax of scale 16"
    compare(
        "center, unit features", text, pairs((30, 20)), {row: {"cosine": 16.0, **given} for row, given in rows.items()}
    )


def beside_arcface() -> None:
    """ArcFace with and without center loss."""
    rows = {f"ArcFace, λ = {w:g}": {"cosine": 16.0, "margin": 0.3, "weight": w} for w in (0.0, 1.0, 10.0)}
    compare("center, beside ArcFace", "100 pairs, 32 features of length 1, scale 16, margin 0.3", pairs((30, 20)), rows)


def weight_decay() -> None:
    """What a plain regulariser does in the setting in which center loss raises the accuracy."""
    everything, table = pairs(), Table("80 of 100 pairs known", COLUMNS)
    for decay in (0.0, 0.1, 1.0, 3.0):
        for seed in range(SEEDS):
            split, unknown, names = known_and_unknown(everything, known_classes(100, 80, seed))
            net, centers = train(split, 32, 0.0, seed, epochs=20, decay=decay)
            table.add(f"no center loss, weight decay {decay:g}", measured(net, centers, split, unknown, names))
    write({"center, weight decay": table})
