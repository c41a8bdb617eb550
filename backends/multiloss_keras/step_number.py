"""A number of a model that compiled steps read anew."""

from __future__ import annotations

from typing import Any

import keras

from multiloss.engine import options
from multiloss_keras import compat


class StepNumber:
    """An attribute that may be set at any time, in a callback, too.

    A compiled step would keep the Python number of its trace, so this one is an untrained variable of the model. It is
    saved with the configuration, not with the weights.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._given, self._variable = name, f"_{name}_as_given", f"_{name}_variable"

    def __get__(self, model: Any, owner: Any = None) -> Any:
        if model is None:
            return self
        if self._given not in model.__dict__:
            raise AttributeError(f"{self._name} is not set yet")
        compat.sync(model)
        given = model.__dict__[self._given]
        held = keras.ops.convert_to_numpy(self.variable(model))
        # The variable holds the number rounded to its dtype, unless another one was assigned to it.
        return given if held == held.dtype.type(given) else float(held)

    def __set__(self, model: Any, number: Any) -> None:
        if hasattr(number, "assign"):
            raise TypeError(
                f"{self._name} must be a number, got a variable, whose later values are not read; "
                f"set model.{self._name} instead, in a callback too"
            )
        number = options.real(self._name, number)
        if self._given not in model.__dict__:
            model.__dict__[self._variable] = model.add_weight(
                shape=(),
                initializer="zeros",
                dtype="float64" if keras.config.floatx() == "float64" else "float32",
                trainable=False,
                autocast=False,
                name=self._name,
            )
        compat.sync(model)
        self.variable(model).assign(number)
        model.__dict__[self._given] = number

    def variable(self, model: Any) -> Any:
        """The variable, which steps compute with."""
        return model.__dict__[self._variable]
