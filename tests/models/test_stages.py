"""What Swin, ResNet and EfficientNet have in common: sizes, FLOPs, and what is frozen and split."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from geosurge_jax.models.efficientnet import EfficientNetConfig
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.resnet import ResNetConfig
from geosurge_jax.models.swin import SwinConfig
from geosurge_jax.models.towers import make_tower
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, batch_sharding, make_mesh
from geosurge_jax.training.parameters import flatten, split_frozen, unflatten

HALF = (0.5, 0.5, 0.5)
SLOW = pytest.mark.slow  # a second or more of tracing for what other sizes show as well


def tower(kind, size, image_size=224, trained_stages=-1):
    preprocessing = Preprocessing(image_size, "stretch", 1.0, "bicubic", HALF, HALF)
    if kind == "swin":
        window = 4 if size == "mu" else 7
        return SwinConfig(kind, size, 4, window, 1e-5, preprocessing, trained_stages, 0.0)
    if kind == "resnet":
        return ResNetConfig(kind, size, preprocessing, trained_stages)
    return EfficientNetConfig(kind, size, 1e-3, preprocessing, trained_stages)


def photo(config, batch=1):
    side = config.preprocessing.image_size
    return jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8)


def shapes(config):
    module = make_tower(config, jnp.float32)
    return jax.eval_shape(
        lambda image: module.init(jax.random.key(0), image, train=False)["params"], photo(config)
    )


# Parameters of transformers 4.57.6's SwinModel, ResNetModel and EfficientNetModel, built on torch's meta
# device, and running means and variances, which are parameters here.
@pytest.mark.parametrize(
    ("kind", "size", "weights", "statistics"),
    [
        ("swin", "T", 27_519_354, 0),
        pytest.param("swin", "S", 48_837_258, 0, marks=SLOW),
        ("swin", "B", 86_743_224, 0),
        pytest.param("swin", "L", 194_995_476, 0, marks=SLOW),
        ("resnet", "18", 11_176_512, 9_600),
        pytest.param("resnet", "34", 21_284_672, 17_024, marks=SLOW),
        ("resnet", "50", 23_508_032, 53_120),
        pytest.param("resnet", "101", 42_500_160, 105_344, marks=SLOW),
        ("resnet", "152", 58_143_808, 151_424),
        ("efficientnet", "B0", 4_007_548, 42_016),
        pytest.param("efficientnet", "B1", 6_513_184, 62_048, marks=SLOW),
        pytest.param("efficientnet", "B2", 7_700_994, 67_568, marks=SLOW),
        pytest.param("efficientnet", "B3", 10_696_232, 87_296, marks=SLOW),
        ("efficientnet", "B4", 17_548_616, 125_200),
        pytest.param("efficientnet", "B5", 28_340_784, 172_736, marks=SLOW),
        pytest.param("efficientnet", "B6", 40_735_704, 224_432, marks=SLOW),
        ("efficientnet", "B7", 63_786_960, 310_720),
    ],
)
def test_sizes_have_the_published_numbers_of_parameters(kind, size, weights, statistics):
    flat = flatten(shapes(tower(kind, size)))
    stored = {path: leaf for path, leaf in flat.items() if re.search("/(mean|variance)$", path)}
    assert sum(math.prod(leaf.shape) for leaf in stored.values()) == statistics
    assert sum(math.prod(leaf.shape) for leaf in flat.values()) == weights + statistics


# Multiply-adds in units of 1e9, classifier included: Liu et al. 2021, table 1; torchvision's ResNet-50;
# Tan and Le 2019, table 2. XLA counts elementwise work too, and no product with padding.
@pytest.mark.parametrize(
    ("kind", "size", "published"),
    [("swin", "T", 4.5), ("resnet", "50", 4.09), ("efficientnet", "B0", 0.39)],
)
def test_flops_are_the_published_ones_and_xlas_within_five_per_cent(kind, size, published):
    config = tower(kind, size)
    frozen, trained = config.flops
    assert frozen == 0
    assert trained == pytest.approx(2e9 * published, rel=0.02)
    module = make_tower(config, jnp.float32)
    forward = jax.jit(lambda params, image: module.apply({"params": params}, image, train=False))
    cost = forward.lower(shapes(config), photo(config)).cost_analysis()
    assert trained == pytest.approx(cost["flops"], rel=0.05)


TOWERS = [
    ("swin", "mu", 32),
    ("swin", "B", 224),
    ("resnet", "mu", 32),
    ("resnet", "18", 224),
    ("resnet", "50", 224),
    ("efficientnet", "mu", 32),
    ("efficientnet", "B1", 240),
]


@pytest.mark.parametrize(("kind", "size", "image_size"), TOWERS)
def test_rules_split_every_kernel_and_each_decides_something(kind, size, image_size):
    config = tower(kind, size, image_size)
    rows = plan_layout(shapes(config), config.partition_rules, make_mesh(MeshConfig(1, 8, 1)))
    for row in rows:
        whole = 4 * math.prod(row.shape)
        split = row.path.endswith("kernel") and "depthwise" not in row.path
        assert row.bytes_per_device == (whole // 8 if split else whole), row


@pytest.mark.parametrize(
    ("kind", "image_size"), [("swin", 32), ("resnet", 32), ("efficientnet", 34)]
)
def test_split_over_a_mesh_a_tower_computes_the_same_and_keeps_the_batch_split(
    kind, image_size, capfd
):
    config = tower(kind, "mu", image_size)
    module, mesh = make_tower(config, jnp.float32), make_mesh(MeshConfig(2, 2, 2))
    image = np.random.default_rng(0).integers(0, 256, (8, image_size, image_size, 3))
    image = jnp.asarray(image.astype(np.uint8))
    params = jax.jit(lambda: module.init(jax.random.key(0), image, train=False)["params"])()

    def tokens(params, image):
        return module.apply({"params": params}, image, train=False).tokens

    expected = jax.jit(tokens)(params, image)
    specs = {r.path: r.spec for r in plan_layout(params, config.partition_rules, mesh)}
    shardings = unflatten({path: NamedSharding(mesh, spec) for path, spec in specs.items()})
    capfd.readouterr()
    with jax.set_mesh(mesh):
        placed = jax.device_put((params, image), (shardings, batch_sharding(mesh)))
        found = jax.jit(tokens)(*placed)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # What the compiler says where it holds a whole batch to split it anew.
    assert "full rematerialization" not in capfd.readouterr().err


@pytest.mark.parametrize(("kind", "size", "image_size"), TOWERS)
def test_trained_stages_are_the_last_ones_and_statistics_are_never_trained(kind, size, image_size):
    config = tower(kind, size, image_size)
    params = shapes(config)
    stages = len({path.split("/")[0] for path in flatten(params) if path.startswith("stage_")})
    for trained_stages in (-1, 1, stages):
        config = dataclasses.replace(config, trained_stages=trained_stages)
        trained, _ = split_frozen(params, config.frozen_rules)
        first = 0 if trained_stages < 0 else stages - trained_stages
        kept = {f"stage_{index}" for index in range(first, stages)}
        after = {"top"} if kind == "efficientnet" else {"norm"} if kind == "swin" else set()
        before = {"stem"} if kind != "swin" else {"patch_embedding", "patch_norm"}
        assert {*trained} == kept | after | (before if trained_stages < 0 else set())
        assert not [path for path in flatten(trained) if re.search("/(mean|variance)$", path)]
    with pytest.raises(ValueError, match="leave no parameter to train"):
        split_frozen(params, dataclasses.replace(config, trained_stages=0).frozen_rules)


@pytest.mark.parametrize(("kind", "size", "image_size"), TOWERS)
def test_flops_move_from_frozen_to_trained_stage_by_stage(kind, size, image_size):
    config = tower(kind, size, image_size)
    stages = len(config.shape.depths) if kind != "efficientnet" else len(config.shape.stages)
    parts = [
        dataclasses.replace(config, trained_stages=number).flops for number in range(stages + 1)
    ]
    assert len({sum(part) for part in parts}) == 1
    assert parts[0][1] == 0 and parts[stages][0] > 0
    assert sorted(part[1] for part in parts) == [part[1] for part in parts]


@pytest.mark.parametrize(
    ("kind", "size", "image_size"),
    [("swin", "mu", 36), ("resnet", "mu", 45), ("efficientnet", "mu", 38)],
)
def test_features_have_the_grid_and_width_of_the_config_in_the_compute_type(kind, size, image_size):
    config = tower(kind, size, image_size)
    module = make_tower(config, jnp.bfloat16)
    features, params = jax.eval_shape(
        lambda image: module.init_with_output(jax.random.key(0), image, train=False),
        photo(config, batch=2),
    )
    assert features.pooled.shape == (2, config.width)
    assert features.tokens.shape == (2, config.grid**2, config.width)
    assert features.pooled.dtype == features.tokens.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("kind", ["swin", "resnet", "efficientnet"])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "vit", r"config.system.visual.kind='vit': expected one of \['"),
        ("size", "XXL", r"config.system.visual.size='XXL': expected one of \['mu'"),
        ("trained_stages", 9, r"config.system.visual.trained_stages=9: expected -1 \(all\) to"),
        ("trained_stages", -2, r"config.system.visual.trained_stages=-2: expected -1 \(all\) to"),
    ],
)
def test_bad_choices_are_refused_with_their_key(kind, field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tower(kind, "mu", 32), **{field: value})


@pytest.mark.parametrize(
    ("kind", "image_size", "message"),
    [
        ("swin", 34, "image_size=34: expected a multiple of config.system.visual.patch=4"),
        ("swin", 24, "visual.window=4: expected 1 to 3, the side of the last stage's map"),
        ("resnet", 31, "image_size=31: expected 32 or more"),
        ("efficientnet", 33, "image_size=33: expected an even number"),
        ("efficientnet", 30, "image_size=30: expected an even number, 32 or more"),
    ],
)
def test_photos_that_do_not_fit_are_refused_with_their_key(kind, image_size, message):
    with pytest.raises(ValueError, match=message):
        tower(kind, "mu", image_size)
