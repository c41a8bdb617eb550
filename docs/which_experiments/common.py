"""What the experiments of `which.md` share: a small network, its training, the page's tables, the look of figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rcParams
from matplotlib.figure import Figure
from torch import Tensor, nn

PAGE = Path(__file__).parents[1] / "which.md"
PICTURES = PAGE.parent / "pictures"
FIGURES = PICTURES / "which.json"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]  # Okabe and Ito
LOOK = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
}
rcParams.update(LOOK)
torch.set_num_threads(1)  # one order of the sums, and so the same numbers in each run

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(labels, features, outputs) -> what is minimised."""


class Net(nn.Module):
    """One hidden layer, features, and a linear classifier of the features (with `cosine`: of unit vectors)."""

    def __init__(self, inputs: int, features: int, classes: int, hidden: int = 128, cosine: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.PReLU(), nn.Linear(hidden, features))
        self.head = nn.Linear(features, classes, bias=not cosine)
        self.cosine = cosine

    def features(self, x: Tensor) -> Tensor:
        """The features, of length 1 where the classifier reads cosines."""
        features = self.body(x)
        return nn.functional.normalize(features) if self.cosine else features

    def logits(self, features: Tensor) -> Tensor:
        """What the classifier makes of features."""
        if self.cosine:
            return self.cosine * features @ nn.functional.normalize(self.head.weight).T
        return self.head(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        features = self.features(x)
        return features, self.logits(features)


def fit(
    net: Net,
    x: np.ndarray,
    y: np.ndarray,
    loss: Loss,
    *,
    epochs: int,
    seed: int,
    batch: int = 64,
    rate: float = 2e-3,
    decay: float = 0.0,
    batches: Callable[[torch.Generator], Iterable[Tensor]] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """AdamW on shuffled batches, or on those that `batches` makes for an epoch; `after` is called after each epoch."""
    inputs, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=order).split(batch) if batches is None else batches(order):
            features, outputs = net(inputs[rows])
            value = loss(labels[rows], features, outputs)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        if after is not None:
            after()


@torch.no_grad()
def read(net: Net, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and logits of all rows."""
    features, outputs = net(torch.tensor(x, dtype=torch.float32))
    return features.numpy(), outputs.numpy()


def save(figure: Figure, name: str) -> None:
    """One PNG, without the date and version that would make it differ from run to run."""
    figure.savefig(PICTURES / f"which-{name}.png", dpi=150, metadata={"Software": None})


class Table:
    """Rows of measurements, one value a seed, shown as mean ± sample standard deviation."""

    def __init__(self, first: str, columns: Mapping[str, str]) -> None:
        self.first, self.columns = first, dict(columns)
        self.rows: dict[str, list[list[float]]] = {}

    def add(self, row: str, values: Sequence[float]) -> None:
        """The measurements of one seed."""
        cells = self.rows.setdefault(row, [[] for _ in self.columns])
        for cell, value in zip(cells, values, strict=True):
            cell.append(float(f"{value:.6g}"))

    def data(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return {"first": self.first, "columns": self.columns, "rows": self.rows}


def markdown(table: Mapping[str, Any]) -> str:
    """A table of the JSON file as the page has it."""
    titles = [table["first"], *table["columns"]]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row, cells in table["rows"].items():
        shown = [
            shape.format(*mean_and_spread(cell)) for cell, shape in zip(cells, table["columns"].values(), strict=True)
        ]
        lines.append(f"| {row} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation of the sample."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def write(tables: Mapping[str, Table]) -> None:
    """Put tables into the JSON file, and those into the page, after `<!-- measured: NAME -->`."""
    kept = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    kept |= {name: table.data() for name, table in tables.items()}
    text = json.dumps(dict(sorted(kept.items())), separators=(",", ":"), ensure_ascii=False)
    FIGURES.write_text(text.replace('}},"', '}},\n"') + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for name, table in kept.items():
        mark = re.compile(rf"(<!-- measured: {name} -->\n\n).*?(\n*<!-- end -->)", re.DOTALL)
        shown = markdown(table)
        page = mark.sub(lambda found, shown=shown: f"{found[1]}{shown}\n\n<!-- end -->", page)  # type: ignore[misc]
    PAGE.write_text(page, encoding="utf-8")
    for name, table in tables.items():
        print(f"\n{name}\n{markdown(table.data())}", flush=True)
