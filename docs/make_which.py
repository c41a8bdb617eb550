"""Make the pictures and tables of `which.md`: `python docs/make_which.py [NAME...]` (needs `multiloss[demo,torch]`).

Each experiment has a fixed seed, writes `pictures/which-NAME.png` and puts what it measured into `pictures/which.json`
and into the pages. Those of center loss are in `make_which_center.py`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from make_which_center import digits, distances, pairs
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import expit
from which_common import COLOURS, Net, Table, fit, read, save, write

import multiloss

RED, BLUE = "#d55e00", "#0072b2"


def line(loss: Any, x: np.ndarray, y: np.ndarray, link: Any = lambda z: z) -> np.ndarray:
    """Intercept a and slope b of link(a + b x), the best ones by the loss."""

    def value(ab: np.ndarray) -> float:
        return float(loss(y[:, None], link(ab[0] + ab[1] * x)[:, None]))

    found = np.zeros(2)
    for _ in range(3):  # the simplex may stop at a kink: start again from there
        found = minimize(value, found, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 2000}).x
    return found


def outliers() -> None:
    """A line through 40 points, of which 6 are wrong."""
    losses = {
        "mse": multiloss.get("mse", backend="numpy"),
        "huber, delta=0.5": multiloss.get("huber", backend="numpy", delta=0.5),
        "log_cosh": multiloss.get("log_cosh", backend="numpy"),
        "mae (quantile, q=0.5)": multiloss.get("mae", backend="numpy"),
    }
    table = Table("loss", {"error of the slope, 6 outliers": "{:.3f} ± {:.3f}", "no outliers": "{:.3f} ± {:.3f}"})
    at = np.linspace(0, 4, 40)
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axis = figure.subplots()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clean = 1 + 2 * at + 0.4 * rng.standard_normal(40)
        wrong = clean.copy()
        wrong[rng.choice(np.arange(20, 40), 6, replace=False)] -= 8 + 2 * rng.random(6)
        if seed == 0:
            axis.plot(at, wrong, "o", color="0.55", markersize=4, label="data, 6 of 40 wrong")
            axis.plot(at, 1 + 2 * at, color="black", linewidth=1, linestyle=":", label="truth")
        for i, (name, loss) in enumerate(losses.items()):
            intercept, slope = line(loss, at, wrong)
            table.add(name, [abs(slope - 2), abs(line(loss, at, clean)[1] - 2)])
            if seed == 0:
                axis.plot(at, intercept + slope * at, color=COLOURS[i], linewidth=3 - 0.4 * i, label=name)
    axis.set_xlabel("x")
    axis.set_ylabel("y")
    axis.legend(loc="upper left")
    save(figure, "outliers")
    write({"outliers": table})


def noise() -> None:
    """Noise that grows with x: one width for all, a predicted variance, two predicted quantiles."""
    table = Table("loss", {"inside its 80 % band, x < 1": "{:.0f} ± {:.0f} %", "x > 2": "{:.0f} ± {:.0f} %"})
    mse, nll = multiloss.get("mse", backend="torch"), multiloss.get("gaussian_nll", backend="torch")
    low, high = (multiloss.get("quantile", backend="torch", q=q) for q in (0.1, 0.9))
    figure = Figure(figsize=(9.5, 3.5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    grid = np.linspace(0, 3, 200)
    inputs = np.stack([grid, grid**2, grid**3], -1) / [3, 9, 27]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 3, (2, 600))
        y = np.sin(2 * x) + (0.05 + 0.25 * x) * rng.standard_normal(x.shape)
        given, fresh = (np.stack([one, one**2, one**3], -1) / [3, 9, 27] for one in x)
        target = torch.tensor(y[0], dtype=torch.float32)[:, None]

        def bands(name: str) -> tuple[np.ndarray, ...]:
            torch.manual_seed(seed)
            net = Net(3, 16, 2, hidden=32)
            wanted = {
                "mse": lambda out: mse(target, out[:, :1]),
                "gaussian_nll": lambda out: nll(target, out[:, :1], torch.nn.functional.softplus(out[:, 1:])),
                "quantile, q=0.1 and q=0.9": lambda out: low(target, out[:, :1]) + high(target, out[:, 1:]),
            }[name]
            optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
            for _ in range(800):
                optimizer.zero_grad()
                wanted(net(torch.tensor(given, dtype=torch.float32))[1]).backward()
                optimizer.step()
            found = []
            for at in (fresh, inputs):
                out = read(net, at)[1]
                if name == "mse":
                    width = 1.2816 * np.sqrt(np.mean((y[0] - read(net, given)[1][:, 0]) ** 2))
                    found += [out[:, 0] - width, out[:, 0] + width]
                elif name == "gaussian_nll":
                    width = 1.2816 * np.sqrt(np.logaddexp(0, out[:, 1]))
                    found += [out[:, 0] - width, out[:, 0] + width]
                else:
                    found += [out[:, 0], out[:, 1]]
            return tuple(found)

        for axis, name in zip(axes, ("mse", "gaussian_nll", "quantile, q=0.1 and q=0.9"), strict=True):
            lower, upper, shown_lower, shown_upper = bands(name)
            inside = (lower <= y[1]) & (y[1] <= upper)
            table.add(name, [100 * inside[x[1] < 1].mean(), 100 * inside[x[1] > 2].mean()])
            if seed == 0:
                axis.plot(x[1], y[1], ".", color="0.6", markersize=3)
                axis.fill_between(grid, shown_lower, shown_upper, color=BLUE, alpha=0.3, linewidth=0)
                axis.set_title(name)
                axis.set_xlabel("x")
    axes[0].set_ylabel("y")
    save(figure, "noise")
    write({"noise": table})


def relative() -> None:
    """Targets over three orders of magnitude, whose errors are a factor."""
    losses = {
        "mse": multiloss.get("mse", backend="numpy"),
        "mae": multiloss.get("mae", backend="numpy"),
        "msle": multiloss.get("msle", backend="numpy"),
        "tweedie, power=1.9": multiloss.get("tweedie", backend="numpy", power=1.9),
        "mape": multiloss.get("mape", backend="numpy"),
    }
    columns = {"predicted / true median, x = 0": "{:.2f} ± {:.2f}", "x = 4": "{:.2f} ± {:.2f}"}
    table = Table("loss", {**columns, "predicted / true mean, x = 4": "{:.2f} ± {:.2f}"})
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axis = figure.subplots()
    sigma, grid = 0.8, np.linspace(0, 4, 100)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 4, 80)
        y = np.exp(1 + 1.5 * x + sigma * rng.standard_normal(80))
        if seed == 0:
            axis.plot(x, y, "o", color="0.55", markersize=4, label="data")
            axis.plot(grid, np.exp(1 + 1.5 * grid), color="black", linewidth=1, linestyle=":", label="true median")
        for i, (name, loss) in enumerate(losses.items()):
            a, b = line(loss, x, y, link=lambda z: np.exp(np.minimum(z, 30)))
            ends = np.exp([a - 1, a + 4 * b - 7])
            table.add(name, [*ends, ends[1] / np.exp(sigma**2 / 2)])
            if seed == 0:
                axis.plot(grid, np.exp(a + b * grid), color=COLOURS[i], label=name)
    axis.set_yscale("log")
    axis.set_xlabel("x")
    axis.set_ylabel("y, logarithmic")
    axis.legend(loc="upper left", ncols=2)
    save(figure, "relative")
    write({"relative": table})


def boundary(loss: Any, x: np.ndarray, y: np.ndarray, of_probabilities: bool) -> np.ndarray:
    """Weights w of the logits x w, the best ones by the loss."""

    def value_and_grad(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = expit(z)
        value, gradient = loss.value_and_grad(y, p if of_probabilities else z)
        return float(value), x.T @ (gradient * p * (1 - p) if of_probabilities else gradient)

    return minimize(value_and_grad, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def imbalance() -> None:
    """A line between 30 samples of one class and 970 of the other."""
    logits = {"from_logits": True}
    losses: dict[str, Any] = {
        "bce": multiloss.get("bce", backend="numpy", **logits),
        "bce, pos_weight=32": multiloss.get("bce", backend="numpy", pos_weight=32.0, **logits),
        "binary_focal_crossentropy, alpha=0.25": multiloss.get(
            "binary_focal_crossentropy", backend="numpy", alpha=0.25, **logits
        ),
        "binary_focal_crossentropy, alpha=0.97": multiloss.get(
            "binary_focal_crossentropy", backend="numpy", alpha=0.97, **logits
        ),
        "dice, axis=None": multiloss.get("dice", backend="numpy", axis=None),
    }
    columns = {"found (recall)": "{:.0f} ± {:.0f} %", "right among alarms (precision)": "{:.0f} ± {:.0f} %"}
    table = Table("loss", {**columns, "F1": "{:.2f} ± {:.2f}", "mean probability (truth: 3 %)": "{:.1f} ± {:.1f} %"})
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axis = figure.subplots()

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        y = (np.arange(1000) < 30).astype(int)
        return rng.standard_normal((1000, 2)) + np.where(y, 1.8, 0.0)[:, None] * [1.0, 0.7], y

    for seed in range(20):
        rng = np.random.default_rng(seed)
        (x, y), (fresh, truth) = sample(rng), sample(rng)
        if seed == 0:
            axis.scatter(*x[y == 0].T, s=6, color="0.7", linewidths=0, label="970 of class 0")
            axis.scatter(*x[y == 1].T, s=18, color="black", linewidths=0, label="30 of class 1")
        for i, (name, loss) in enumerate(losses.items()):
            w = boundary(loss, np.c_[np.ones(1000), x], y.astype(float), of_probabilities="dice" in name)
            p = expit(np.c_[np.ones(1000), fresh] @ w)
            alarm = p > 0.5
            hits = float((alarm & (truth == 1)).sum())
            right = hits / alarm.sum() if alarm.any() else 0.0
            found = hits / truth.sum()
            f1 = 2 * hits / (alarm.sum() + truth.sum())
            table.add(name, [100 * found, 100 * right, f1, 100 * p.mean()])
            if name == "bce":
                alarm = p > 1 / 33
                hits = float((alarm & (truth == 1)).sum())
                scores = [100 * hits / truth.sum(), 100 * hits / alarm.sum(), 2 * hits / (alarm.sum() + truth.sum())]
                table.add("bce, alarm from p > 1/33 on", [*scores, 100 * p.mean()])
            if seed == 0:
                at = np.array([-4.0, 5.0])
                look = {"linestyle": "-" if "focal" not in name else "--"}
                axis.plot(at, -(w[0] + w[1] * at) / w[2], color=COLOURS[i], label=name, **look)
    axis.set_xlim(-3.2, 4.5)
    axis.set_ylim(-3.2, 5.2)
    axis.set_xlabel("feature 1")
    axis.set_ylabel("feature 2")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=9)
    save(figure, "imbalance")
    write({"imbalance": table})


def noisy_labels() -> None:
    """Digits, 40 % of whose training labels are drawn anew."""
    one_hot = np.eye(10, dtype=np.float32)
    losses = {
        "cce": multiloss.get("cce", backend="torch", from_logits=True),
        "cce, label_smoothing=0.2": multiloss.get("cce", backend="torch", from_logits=True, label_smoothing=0.2),
        "generalized_cross_entropy, q=0.7": multiloss.get(
            "generalized_cross_entropy", backend="torch", from_logits=True
        ),
        "cce, no wrong labels": multiloss.get("cce", backend="torch", from_logits=True),
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
            targets = torch.tensor(one_hot)
            fit(
                net, x, labels,
                lambda labels, _, out, loss=loss: loss(targets[labels], out),
                epochs=epochs, seed=seed,
                after=lambda net=net, curve=curve: curve.append(100 * (read(net, x_test)[1].argmax(-1) == y_test).mean()),
            )  # fmt: skip
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
        for k, colour in enumerate(("white", "black", RED)):
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


EXPERIMENTS = {
    "outliers": outliers,
    "noise": noise,
    "relative": relative,
    "imbalance": imbalance,
    "noisy-labels": noisy_labels,
    "confidence": confidence,
    "few-pairs": few_pairs,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or EXPERIMENTS:
        EXPERIMENTS[name]()
