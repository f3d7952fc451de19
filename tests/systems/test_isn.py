import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.isn import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.systems.isn import build, of_network
from tests.systems import contract_checks as checks

CONFIG = checks.small(get_config("tiny"))


@pytest.fixture(scope="module")
def hierarchy():
    return checks.small_hierarchy()


def changed(**fields):
    return dataclasses.replace(CONFIG, **fields)


SEPARATE = CONFIG
SHARED = changed(scene_networks="shared", decision="finest", gate_weight=0.5)
SINGLE = changed(scenes=0)


def twin(config, params, batch, hierarchy):
    """Scores of the answering network [L][B, K], the gate's [B, S] and who answers, in float64."""
    paths = config.tower_paths
    vectors = [checks.pooled(config, params, batch, path) for path in paths]
    networks = [
        [
            checks.linear_scores(vectors[number % len(paths)], params[path], level, len(partition))
            for level, partition in enumerate(hierarchy.partitions)
        ]
        for number, path in enumerate(config.table_paths)
    ]
    if not config.scenes:
        return networks, None
    gate = params["gate"]
    kernel = np.asarray(gate["kernel"], np.float64)
    return networks, np.concatenate(vectors, axis=1) @ kernel + np.asarray(gate["bias"])


@pytest.mark.parametrize("config", [SEPARATE, SHARED, SINGLE], ids=["separate", "shared", "single"])
def test_loss_and_posterior_are_the_formulas(config, hierarchy):
    system = build(config, hierarchy, {})
    batch = checks.small_batch(system)
    batch["cells"][2, 1] = -1
    params = checks.made(system, batch)
    loss, metrics, posterior, ask = checks.check_contract(
        system, params, batch, mesh=config is SHARED
    )
    networks, gate = twin(config, params, batch, hierarchy)
    label = batch["scene"][:, 0]
    gated = np.zeros(8, int) if gate is None else gate.argmax(axis=1)
    trained = gated if gate is None else np.where(label >= 0, label, gated)
    ancestors = hierarchy.ancestors
    for photo in range(8):
        expected = 0.0
        for level, cell in enumerate(batch["cells"][photo]):
            if cell >= 0:
                log_prob = checks.log_softmax(networks[trained[photo]][level][photo])
                expected -= log_prob[cell]
        if gate is not None and label[photo] >= 0:
            expected -= config.gate_weight * checks.log_softmax(gate[photo])[label[photo]]
        assert loss[photo] == pytest.approx(expected, rel=1e-4)
        fine, coarse = (
            checks.log_softmax(networks[gated[photo]][level][photo]) for level in (1, 0)
        )
        if config.decision == "product":
            has_parent = ancestors[:, 0] >= 0
            fine = np.where(has_parent, fine + coarse[ancestors[:, 0]], 2 * fine)
        np.testing.assert_allclose(
            posterior.log_prob[photo], checks.log_softmax(fine), rtol=1e-4, atol=1e-4
        )
    assert ("accuracy/scene" in metrics) == (gate is not None)

    if config is SEPARATE:
        # A photo trains the network of its scene alone.
        gradient = ask(params, {**batch, "scene": np.ones((8, 3), np.int32)}, {})[3]
        moved = {part for part, tree in gradient.items() if any(map(np.any, jax.tree.leaves(tree)))}
        assert moved == {"scenes_1", "table_1", "gate"}


def test_networks_are_picked_photo_by_photo():
    scores = [
        [jnp.full((4, 3), 10.0 * network + level) for level in (0, 1)] for network in (0, 1, 2)
    ]
    chosen = of_network(scores, jnp.asarray([2, 0, 1, 2]))
    np.testing.assert_array_equal(chosen[0][:, 0], [20, 0, 10, 20])
    np.testing.assert_array_equal(chosen[1][:, 2], [21, 1, 11, 21])


def test_flops_count_every_network(hierarchy):
    one, shared, separate = (
        build(config, hierarchy, {}).flops.forward for config in (SINGLE, SHARED, SEPARATE)
    )
    tower, table = sum(CONFIG.visual.flops), 64 * sum(len(p) for p in hierarchy.partitions)
    assert one == tower + table
    assert shared == tower + 3 * table + 64 * 3
    assert separate == 3 * tower + 3 * table + 3 * 64 * 3


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("scenes", 5, "expected one of .0, 3, 16."),
        ("scene_networks", "both", "expected one of .'shared', 'separate'."),
        ("decision", "f", "expected one of .'product', 'finest'."),
        ("gate_weight", 0.0, "expected above 0"),
        ("compute_dtype", "float16", "expected one of .'float32', 'bfloat16'."),
    ],
)
def test_bad_values_are_named(field, value, expected):
    raw = get_config("tiny").to_dict()
    raw["system"][field] = value
    with pytest.raises(ValueError, match=f"config.system.{field}={value!r}: {expected}"):
        parse(raw)
