"""Threads that share one center object, and interrupts: every step lands whole or not at all, no file is torn."""

import copy
import importlib
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiloss
from helpers.arrays import framework, to_native, to_numpy
from multiloss.center import files

COUNT = 4096
"""Each of so many steps towards 1 leaves 1 - 1 / COUNT of the way, whatever their order is."""


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made(backend: str, **options: Any) -> tuple[Any, Any, Any]:
    """A center of one class that starts at 0, and a batch of one sample at 1: a step goes alpha / 2 of the way."""
    center = multiloss.get("center", backend=backend, num_classes=1, alpha=2 / COUNT, **options)
    return center, to_native(backend, np.array([0])), to_native(backend, np.ones((1, 1), np.float64))


def steps_in(centers: Any) -> float:
    rest = 1.0 - float(to_numpy(centers)[0, 0])
    return float(np.log(rest) / np.log1p(-1 / COUNT))


def run_all_at_once(workers: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(len(workers))

    def guarded(worker: Callable[[], None]) -> None:
        start.wait()
        try:
            worker()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_every_step_of_four_threads_lands(backend: str) -> None:
    center, y, x = made(backend)
    ways: list[Callable[[], Any]] = [
        lambda: center(y, x),
        lambda: center.update(y, x),
        lambda: center.value_and_grad(y, x),
    ]
    for way in ways:
        way()
    each = 100 if framework(backend) in ("numpy", "torch") and backend != "keras" else 25

    def work() -> None:
        for i in range(each):
            ways[i % 3]()

    run_all_at_once([work] * 4)
    assert steps_in(center.centers) == pytest.approx(3 + 4 * each, abs=0.05)


def test_no_file_is_torn(backend: str, tmp_path: Path) -> None:
    """All rows move alike, so in what is saved, read or copied meanwhile they are the same; class sets, too."""
    rows = 20_000 if backend in ("numpy", "torch") else 3000  # the more, the longer a copy and a write take
    y, x = to_native(backend, np.arange(rows)), to_native(backend, np.ones((rows, 4), np.float32))
    center = multiloss.get("center", backend=backend, num_classes=rows, feature_dim=4, alpha=0.01)
    center(y, x)
    done = threading.Event()

    def step() -> None:
        while not done.is_set():
            center(y, x)

    def save() -> None:
        try:
            for i in range(15):
                center.save_centers(tmp_path / "centers")
                found = [files.load(tmp_path / "centers"), to_numpy(center.to_backend("numpy").centers)]
                if backend != "torch":  # whose `centers` is the buffer itself, which moves while it is read
                    found.append(to_numpy(center.centers))
                for table in found:
                    assert table.shape == (rows, 4) and np.ptp(table) == 0 and table[0, 0] > 0
                if i % 5 == 4:
                    center.load_centers(tmp_path / "centers")
                    center.centers = found[0]
        finally:
            done.set()

    run_all_at_once([step, save])


def test_classes_that_threads_bring_are_all_kept(backend: str) -> None:
    center = multiloss.get("center", backend=backend, alpha=1.0)
    x = to_native(backend, np.full((1, 2), 4.0))

    def bring(first: int) -> None:
        for label in range(first, 24, 3):
            center(to_native(backend, np.array([label])), x)

    run_all_at_once([lambda first=first: bring(first) for first in range(3)])
    np.testing.assert_array_equal(to_numpy(center.centers), np.full((24, 2), 2.0))


def test_the_lock_is_no_part_of_the_object(backend: str) -> None:
    center, y, x = made(backend)
    if backend != "keras":  # which copies by saving
        with center._alone():
            others = [copy.deepcopy(center), pickle.loads(pickle.dumps(center))]
            center(y, x)
            run_all_at_once([lambda other=other: other(y, x) for other in others])  # waits for nobody
        for other in (center, *others):
            assert steps_in(other.centers) == pytest.approx(1, abs=0.01)
    assert "lock" not in repr(center.config()).lower()


@pytest.mark.graph
@pytest.mark.only("tensorflow")
def test_tensorflow_traces_while_another_thread_holds_the_object(backend: str) -> None:
    import tensorflow as tf

    center, y, x = made(backend, feature_dim=1)
    with center._alone():
        run_all_at_once([lambda: tf.function(center)(y, x)])
    assert steps_in(center.centers) == pytest.approx(1, abs=0.01)


@pytest.mark.only("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch.compile itself
def test_torch_compiles_without_it(backend: str) -> None:
    import torch

    torch._dynamo.reset()
    center, y, x = made(backend, feature_dim=1)
    center.double()
    run = torch.compile(center, fullgraph=True, backend="aot_eager")
    with center._alone():
        run_all_at_once([lambda: run(y, x.requires_grad_()).backward()])
    assert steps_in(center.centers) == pytest.approx(1, abs=0.01)


@pytest.mark.only("jax")
@pytest.mark.parametrize("how", ["call", "update", "value_and_grad"])
@pytest.mark.parametrize("when", ["the result is lost", "before", "at the end"])
def test_jax_interrupted(backend: str, how: str, when: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the moment is, the object has all steps that came to an end, and goes on."""
    module = importlib.import_module("multiloss_jax.center")  # the attribute of the package is the class

    center, y, x = made(backend)
    way = {"call": center, "update": center.update, "value_and_grad": center.value_and_grad}[how]
    way(y, x), way(y, x)
    compiled = module._compiled

    def interrupted(*options: Any) -> Any:
        run = compiled(*options)

        def call(*arrays: Any) -> Any:
            if when != "before":
                run(*arrays)
            raise KeyboardInterrupt

        return call

    with monkeypatch.context() as patch:
        if when == "at the end":
            patch.setattr(module.JaxCenter, "_refuse_traced", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        else:
            patch.setattr(module, "_compiled", interrupted)
        with pytest.raises(KeyboardInterrupt):
            way(y, x)
        center.save_centers(tmp_path / "centers")
        assert steps_in(files.load(tmp_path / "centers")) == pytest.approx(2, abs=0.01)
        for again in (copy.deepcopy(center), copy.copy(center), pickle.loads(pickle.dumps(center))):
            assert steps_in(again.centers) == pytest.approx(2, abs=0.01)
    for n in (3, 4, 5):
        way(y, x)
        assert steps_in(center.centers) == pytest.approx(n, abs=0.01)


@pytest.mark.only("jax")
def test_jax_batches_of_any_length_between_interrupts(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tables that change places, with rows to bring up to date from a batch of another length: as one table."""
    module = importlib.import_module("multiloss_jax.center")  # the attribute of the package is the class

    rng = np.random.default_rng(0)
    center, plain = (multiloss.get("center", b, num_classes=7, feature_dim=2) for b in (backend, "numpy"))
    for i, length in enumerate((5, 1, 0, 8, 3, 0, 1, 6, 2)):
        y, x = rng.integers(0, 7, length), rng.normal(size=(length, 2))
        if i % 3 == 2:
            with monkeypatch.context() as patch:
                patch.setattr(module.JaxCenter, "_refuse_traced", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    center(y, x)
        if i == 4:
            center.resize(9), plain.resize(9)
        if i == 6:
            center.centers = plain.centers = rng.normal(size=(9, 2))
        np.testing.assert_allclose(center(y, x), plain(y, x), rtol=1e-12)
        np.testing.assert_allclose(center.centers, plain.centers, rtol=1e-12)


@pytest.mark.only("keras")
def test_keras_after_an_interrupted_call(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras may keep the context of a call that broke off; the next call of the layer trains all the same."""
    center, y, x = made(backend)
    center(y, x)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(center, "_clear_losses", interrupted)  # what Keras does once the context is there
        with pytest.raises(KeyboardInterrupt):
            center(y, x)
    for n in (2, 3):
        center(y, x)
        assert steps_in(center.centers) == pytest.approx(n, abs=0.01)


@pytest.mark.only("numpy", "torch", "jax")  # an interrupt can kill TensorFlow itself, in `convert_to_eager_tensor`
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an interrupt in a destructor is lost
def test_interrupts_at_any_moment(backend: str, tmp_path: Path) -> None:
    """Ctrl-C in a loop of steps, then a save: the file has the steps that came to an end, and at most one more."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    center, y, x = made(backend)
    center(y, x)
    rng, landed = np.random.default_rng(0), steps_in(center.centers)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(20):
            ended = 0
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.004))
                while ended < 500:
                    center(y, x)
                    ended += 1
            except KeyboardInterrupt:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            center.save_centers(tmp_path / "centers")
            now = steps_in(files.load(tmp_path / "centers"))
            assert now == pytest.approx(round(now), abs=0.05) and ended <= round(now - landed) <= ended + 1
            landed = now
    finally:
        signal.signal(signal.SIGALRM, before)
