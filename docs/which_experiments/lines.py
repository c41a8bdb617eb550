"""What a loss does to a line: outliers, uneven noise, targets of all sizes, and two classes of which one is rare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import expit

import multiloss
from which_experiments.common import COLOURS, Net, Table, read, save, write


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


def powers(x: np.ndarray) -> np.ndarray:
    """What the network sees of x: its first three powers, each scaled to [0, 1]."""
    return np.stack([x, x**2, x**3], -1) / [3, 9, 27]


def band(name: str, x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A network trained with a loss, as the lower and upper end of where 80 % of the targets should be."""
    mse, nll = multiloss.get("mse", backend="torch"), multiloss.get("gaussian_nll", backend="torch")
    low, high = (multiloss.get("quantile", backend="torch", q=q) for q in (0.1, 0.9))
    losses = {
        "mse": lambda t, out: mse(t, out[:, :1]),
        "gaussian_nll": lambda t, out: nll(t, out[:, :1], torch.nn.functional.softplus(out[:, 1:])),
        "quantile, q=0.1 and q=0.9": lambda t, out: low(t, out[:, :1]) + high(t, out[:, 1:]),
    }
    torch.manual_seed(seed)
    net, inputs = Net(3, 16, 2, hidden=32), torch.tensor(powers(x), dtype=torch.float32)
    target = torch.tensor(y, dtype=torch.float32)[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(800):
        optimizer.zero_grad()
        losses[name](target, net(inputs)[1]).backward()
        optimizer.step()
    one_width = np.sqrt(np.mean((y - read(net, powers(x))[1][:, 0]) ** 2))

    def ends(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = read(net, powers(at))[1].T
        if "quantile" in name:
            return first, second
        deviation = one_width if name == "mse" else np.sqrt(np.logaddexp(0, second))
        return first - 1.2816 * deviation, first + 1.2816 * deviation

    return ends


def noise() -> None:
    """Noise that grows with x: one width for all, a predicted variance, two predicted quantiles."""
    table = Table("loss", {"inside its 80 % band, x < 1": "{:.0f} ± {:.0f} %", "x > 2": "{:.0f} ± {:.0f} %"})
    figure = Figure(figsize=(9.5, 3.5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    grid = np.linspace(0, 3, 200)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 3, (2, 600))
        y = np.sin(2 * x) + (0.05 + 0.25 * x) * rng.standard_normal(x.shape)
        for axis, name in zip(axes, ("mse", "gaussian_nll", "quantile, q=0.1 and q=0.9"), strict=True):
            ends = band(name, x[0], y[0], seed)
            lower, upper = ends(x[1])
            inside = (lower <= y[1]) & (y[1] <= upper)
            table.add(name, [100 * inside[x[1] < 1].mean(), 100 * inside[x[1] > 2].mean()])
            if seed == 0:
                axis.plot(x[1], y[1], ".", color="0.6", markersize=3)
                axis.fill_between(grid, *ends(grid), color=COLOURS[0], alpha=0.3, linewidth=0)
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
