"""What `test_tensorflow_replicas.py` runs: `python -m helpers.tensorflow_replicas FOLDER`, MirroredStrategy over 2
logical devices.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import keras  # noqa: E402

import multiloss.keras  # noqa: E402
from helpers import groups  # noqa: E402
from helpers.groups import D, replica_batch  # noqa: E402
from helpers.processes import Failing  # noqa: E402


def main(folder: Path) -> None:
    """Everything; arrays are left in the folder."""
    kept: dict[str, Any] = {}
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, classes, options in groups.CENTER + groups.FAMILY:
        with strategy.scope():
            center = groups.made("tensorflow", classes, D, **options)

        @tf.function
        def step(y: Any, x: Any, center: Any = center) -> Any:
            def replica(y: Any, x: Any) -> Any:
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    value = center(y, x)
                return value, tape.gradient(value, x)

            return strategy.run(replica, (y, x))

        for seed in range(4):
            ys, xs = replica_batch(classes, seed)
            y, x = (
                strategy.experimental_distribute_values_from_function(
                    lambda context, parts=parts: tf.constant(parts[context.replica_id_in_sync_group])
                )
                for parts in (ys, xs)
            )
            _, slopes = step(y, x)
            kept[f"{name} gradient {seed}"] = np.concatenate(
                [v.numpy() for v in strategy.experimental_local_results(slopes)]
            )
        copies = strategy.experimental_local_results(center._table)
        kept[f"{name} centers"] = copies[0].numpy()
        assert (copies[0].numpy() == copies[1].numpy()).all()
    kept["describe"] = center.describe()

    # what goes wrong in one replica, eagerly: nothing has moved in any
    with strategy.scope():
        pair = [groups.made("tensorflow", 3, D) for _ in range(2)]
    before = [one.centers.numpy() for one in pair]

    def replica_of(what: str) -> None:
        second = tf.distribute.get_replica_context().replica_id_in_sync_group == 1
        y, x = tf.constant([0, 9 if second and what == "label" else 1]), tf.ones((2, D))
        if what == "label":
            pair[0](y, x)
        elif what == "interrupt":
            pair[0](Failing(KeyboardInterrupt) if second else y, x)
        else:
            for one in pair[::-1] if second else pair:
                one(y, x)

    for what in ("label", "interrupt", "order"):
        try:
            strategy.run(replica_of, (what,))
            kept[f"refused {what}"] = "nothing"
        except BaseException as error:
            kept[f"refused {what}"] = f"{type(error).__name__}: {error}"
        kept[f"refused {what} stays"] = all(
            (copy.numpy() == was).all()
            for one, was in zip(pair, before, strict=True)
            for copy in strategy.experimental_local_results(one._table)
        )

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, D)).astype(np.float32), rng.integers(0, 3, 24)
    for how in ("mirrored", "one"):
        keras.utils.set_random_seed(0)
        with strategy.scope() if how == "mirrored" else tf.distribute.get_strategy().scope():
            inputs = keras.Input((D,))
            features = keras.layers.Dense(2, name="features")(inputs)
            net = keras.Model(inputs, keras.layers.Dense(3)(features))
            model = multiloss.keras.WithCenterLoss(net, features="features", num_classes=3, weight=0.5)
            model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        before = np.array(model.centers)
        model.evaluate(x, y, batch_size=8, verbose=0)
        kept[f"fit {how} centers"], kept[f"fit {how} weight"] = np.array(model.centers), net.layers[1].kernel.numpy()
        assert (before == np.array(model.centers)).all()
    for name, options in (("scce", {"from_logits": True}), ("triplet", {})):
        for how in ("mirrored", "one"):
            keras.utils.set_random_seed(0)
            with strategy.scope() if how == "mirrored" else tf.distribute.get_strategy().scope():
                model = keras.Sequential([keras.Input((D,)), keras.layers.Dense(3)])
                loss = multiloss.get(name, backend="keras", reduction="sum", **options)
                model.compile(keras.optimizers.SGD(0.01), loss)
            model.fit(x, y, batch_size=24, epochs=1, shuffle=False, verbose=0)
            kept[f"{name} {how}"] = model.layers[0].kernel.numpy()
    np.savez(folder / "kept.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
