"""The 2-8-1 stack in JAX, for ``renorm bench --peers jax``: vmap over members, a scan over steps, Adam and sampling inside.

A program of its own, so that JAX may live in another environment: ``python jax_steps.py SECONDS MEMBERS...`` prints one line
a stack, its members and the seconds of a step.
"""

from __future__ import annotations

import sys
import time
from typing import Any

try:
    import jax
    import jax.numpy as jnp
except ImportError:  # the program alone needs it, not whoever imports every module
    jax = jnp = None

BATCH, WIDTH, STEPS = 256, 8, 100  # steps of one scan
RATE, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.999, 1e-8


def network(key: Any) -> dict[str, Any]:
    """Initial weights of one member."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (WIDTH, 2)) / 2,
        "b1": jnp.zeros(WIDTH),
        "w2": jax.random.normal(second, (WIDTH,)) / 3,
        "b2": jnp.zeros(()),
    }


def loss(weights: dict[str, Any], x: Any, y: Any) -> Any:
    """Mean squared error of one member."""
    hidden = x @ weights["w1"].T + weights["b1"]
    hidden = jnp.where(hidden > 0, hidden, 0.1 * hidden)
    return jnp.mean((hidden @ weights["w2"] + weights["b2"] - y) ** 2)


def step(state: Any, key: Any) -> Any:
    """One step of all members on the same blocks."""
    weights, mean, square, count = state
    x = jax.random.uniform(key, (BATCH, 2), minval=-(3**0.5), maxval=3**0.5)
    gradient = jax.vmap(jax.grad(loss), in_axes=(0, None, None))(weights, x, x.sum(1) / 2**0.5)
    count = count + 1
    mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradient)
    square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, square, gradient)
    rate = RATE * jnp.sqrt(1 - BETA2**count) / (1 - BETA1**count)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), weights, mean, square)
    return (weights, mean, square, count), None


def seconds_a_step(members: int, budget: float) -> float:
    """Of a stack, after compiling; the least of five rounds."""
    run = jax.jit(lambda state, key: jax.lax.scan(step, state, jax.random.split(key, STEPS))[0])
    weights = jax.vmap(network)(jax.random.split(jax.random.PRNGKey(0), members))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state, key = (weights, zeros, zeros, jnp.zeros(())), jax.random.PRNGKey(1)
    state = jax.block_until_ready(run(state, key))
    rounds = []
    for _ in range(5):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < budget / 5:
            state = jax.block_until_ready(run(state, key))
            calls += 1
        rounds.append((time.perf_counter() - start) / calls / STEPS)
    return min(rounds)


if __name__ == "__main__":
    for size in sys.argv[2:]:
        print(size, seconds_a_step(int(size), float(sys.argv[1])), flush=True)
