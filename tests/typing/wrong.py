"""Calls that type checkers must report. Each ignores what it must report; one that has nothing to ignore is reported.

mypy and pyright read this file (`tox -e types`); it never runs.
"""

from __future__ import annotations

import numpy as np

import multiloss
from multiloss.typing import BackendName, LossName


def names(name: str) -> None:
    multiloss.get("hubre")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("hubre", backend="torch")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("huber", backend="torhc")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("hubre", backend="torhc")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("center")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("cross_entropy")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get(name)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    one: LossName = "hubre"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    two: BackendName = "torhc"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(one, two)


def options() -> None:
    multiloss.get("huber", backend="torch", detla=2.0)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("huber", backend="torch", delta="2")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("huber", reduction="average")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("mse", backend="torch", delta=2.0)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.get("center", backend="torch", num_class=3)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]


def attributes() -> None:
    loss = multiloss.get("huber", backend="numpy")
    loss.delta = 2.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(loss.gamma)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def calls() -> None:
    x = np.zeros(2)
    loss = multiloss.get("huber", backend="numpy")
    loss(x)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loss(x, x, weight=x)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loss(x, y_pred=x, masks=x)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    loss.value_and_grad(x, x, wrt="var")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    loss.values(x, x)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    multiloss.get("arcface", backend="torch")(x, x)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    center = multiloss.get("center", backend="numpy")
    center(x, x, weight=x)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    center.stepp({}, x, x)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def others() -> None:
    multiloss.port("torch.nn.L1Loss()", to="torhc")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.port("torch.nn.L1Loss()", to="jax", targets="label")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    multiloss.objective("hubre", library="xgboost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    multiloss.objective("dice", library="xgboost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    multiloss.objective("huber", library="xgbost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    multiloss.objective("huber", "xgboost", hessian="diagonal")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    multiloss.from_config(["huber"])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
