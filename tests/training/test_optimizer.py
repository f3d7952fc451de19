import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.training.optimizer import OptimizerConfig, learning_rate, make_optimizer


def config(**changes):
    values = dict(
        learning_rate=0.1,
        schedule="halving",
        warmup_steps=0,
        weight_decay=0.0,
        clip_norm=0.0,
        b1=0.9,
        b2=0.999,
    )
    return OptimizerConfig(**{**values, **changes})


def test_halving_halves_after_each_epoch():
    rate = learning_rate(config(), total_steps=100, steps_per_epoch=10)
    np.testing.assert_allclose(
        [rate(s) for s in (0, 9, 10, 19, 20, 30)], [0.1, 0.1, 0.05, 0.05, 0.025, 0.0125]
    )


def test_cosine_ends_at_zero_after_a_linear_warmup():
    rate = learning_rate(config(schedule="cosine", warmup_steps=10), 110, 10)
    steps = np.arange(0, 111, 5)
    expected = np.where(
        steps < 10, 0.1 * steps / 10, 0.05 * (1 + np.cos(np.pi * np.maximum(steps - 10, 0) / 100))
    )
    np.testing.assert_allclose([float(rate(int(s))) for s in steps], expected, atol=1e-7)


def test_adamw_follows_its_formula():
    """Loshchilov and Hutter 2019, algorithm 2, in float64."""
    settings = config(weight_decay=0.3, clip_norm=1.0)
    optimizer = make_optimizer(settings, learning_rate(settings, 100, 2))
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    params, state = jnp.asarray(w, jnp.float32), optimizer.init(jnp.zeros(2))
    for t in range(1, 5):
        g = np.array([3.0, -4.0]) * t
        updates, state = optimizer.update(jnp.asarray(g, jnp.float32), state, params)
        params = params + updates
        g = g / np.linalg.norm(g)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rate = 0.1 * 0.5 ** ((t - 1) // 2)
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - rate * (step + 0.3 * w)
        np.testing.assert_allclose(params, w, rtol=1e-5)


def test_unknown_schedule_is_refused_with_its_key():
    with pytest.raises(ValueError, match="config.optimizer.schedule='linear': expected one of"):
        config(schedule="linear")
