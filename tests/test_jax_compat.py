"""JAX without each name that it does not promise (`multiloss_jax/compat.py`): the same numbers, or an error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multiloss
import multiloss_jax
from multiloss_jax import compat

Y, X = jnp.asarray([0, 2, 2]), jnp.asarray([[1.0, 2.0], [3.0, -1.0], [1.0, 0.0]])


def test_tracers_without_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by what traced arrays have in common, in every transformation; a losses' and centers' refusals hold."""
    monkeypatch.delattr(jax.core, "Tracer")
    monkeypatch.setattr(compat, "TRACERS", compat.tracer_types())
    seen: dict[str, bool] = {}

    def look(name: str, function: Any = lambda x: x) -> Any:
        def looked(x: Any, *_: Any) -> Any:
            seen[name] = compat.is_traced(x)
            return x.sum()

        return looked

    jax.jit(look("jit"))(X), jax.grad(look("grad"))(X), jax.vmap(look("vmap"))(X), jax.jvp(look("jvp"), (X,), (X,))
    jax.linearize(look("linearize"), X), jax.make_jaxpr(look("jaxpr"))(X), jax.checkpoint(look("remat"))(X)
    jax.eval_shape(look("shape"), X), jax.lax.scan(lambda c, x: (look("scan")(x) + c, None), 0.0, X)
    jax.jit(jax.grad(look("both")))(X), jax.pmap(look("pmap"))(X[:1])
    assert all(seen.values()) and len(seen) == 11
    for concrete in (X, X[0, 0], np.asarray(X), 1.0, [1.0], jax.random.key(0)):
        assert not compat.is_traced(concrete)
    assert jax.jit(lambda x: multiloss_jax.host(x) is None and multiloss_jax.signature(x) is None)(X)
    center = multiloss.get("center", "jax", num_classes=3, feature_dim=2)
    with pytest.raises(RuntimeError, match="features is traced"):
        jax.grad(lambda x: center(Y, x))(X)
    with pytest.raises(RuntimeError, match="the center loss is traced"):
        jax.jit(lambda a: a + center(Y, X))(1.0)


def test_no_tracers_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(jax.core, "Tracer")
    monkeypatch.setattr(jax, "vmap", lambda function: lambda x: function(x))
    with pytest.raises(ImportError, match=f"cannot tell traced arrays from others in JAX {jax.__version__}"):
        compat.tracer_types()


def test_the_size_of_an_axis_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`jax.lax.axis_size` is not in JAX 0.6: one table for a batch in two halves, as Eq. 4 has it."""
    monkeypatch.delattr(jax.lax, "axis_size", raising=False)
    for classes in (2, 1000):  # one sum a class travels, or the batch
        center = multiloss.get("center", "jax", num_classes=classes, feature_dim=1, alpha=0.5, axis_name="half")
        state = center.init_state()
        halves = jnp.asarray([[0, 0], [1, 0]]), jnp.asarray([[[1.0], [3.0]], [[4.0], [2.0]]])
        run = jax.vmap(lambda y, x, c=center, s=state: c.step(s, y, x), axis_name="half")
        _, moved = run(*halves)
        for table in moved["centers"]:  # 0.5 * (1 + 3 + 2) / 4 and 0.5 * 4 / 2
            np.testing.assert_allclose(table[:2, 0], [0.75, 1.0])


def test_explicit_axes_without_auto_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is JAX itself that refuses; without such axes nothing changes."""
    monkeypatch.delattr(jax.sharding, "auto_axes", raising=False)
    assert compat.explicit_mesh(X) is None
    center = multiloss.get("center", "jax", num_classes=3, feature_dim=2, alpha=0.5)
    value, state = center.step(center.init_state(), Y, X)
    assert float(value) == (5 + 10 + 1) / 6
    np.testing.assert_allclose(state["centers"][2], 0.5 * np.array([4.0, -1.0]) / 3)


@pytest.mark.parametrize("method", ["sort", None])
def test_the_search_of_an_older_jax(monkeypatch: pytest.MonkeyPatch, method: str | None) -> None:
    """Each method finds the same places; "sort" stands in `shard_map` before JAX 0.7, too."""
    monkeypatch.setattr(compat, "SEARCH", method)
    ordered, asked = jnp.asarray([1, 1, 3, 3, 3, 7]), jnp.asarray([7, 3, 1, 3])
    assert multiloss_jax.ops.searchsorted(ordered, asked).tolist() == [5, 2, 0, 2]


def test_flax_without_static(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older Flax holds any object as it is."""
    from flax import nnx

    monkeypatch.delattr(nnx, "static", raising=False)
    held = object()
    assert compat.hidden_from_nnx(held) is held
