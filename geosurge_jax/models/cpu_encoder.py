"""Vision Transformer in the form that XLA compiles to the fastest program on a CPU, for inference only.

`ViT` keeps one token a row, as accelerators want it. On a CPU, three changes make the same numbers faster:

* One token is a column. A linear layer is then `weights [out, in] @ tokens [in, N]`, for which the CPU's
  matrix product reaches a higher rate than for `tokens @ weights`. LayerNorm and softmax reduce over rows, so
  they use whole vector registers, and heads are cut out of the projections without a transpose.
* Attention runs head by head, so that the scores of one head stay in the cache.
* `compiler_options` asks XLA for its older matrix product and for 512-bit vectors.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from geosurge_jax.models.layers import ACTIVATIONS, rotate
from geosurge_jax.models.rotary import patch_rotation
from geosurge_jax.models.tower import Features
from geosurge_jax.models.vit import AttentionPooling, patches
from geosurge_jax.models.vit_config import ViTConfig

Params = Mapping[str, Any]

# YNNPACK, the default for matrix products of jaxlib 0.10, packs the weights anew at each call and is slower
# for weights on the left. LLVM uses 256-bit vectors where the CPU has wider ones, unless it is told.
CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_prefer_vector_width": 512,
}


def make_cpu_encoder(config: ViTConfig, params: Params) -> Callable[[jax.Array], Features]:
    """Return a compiled encoder for inference on CPUs.

    Systems take its result in place of the image: `system.posterior(params, prepared, {"image": features})`.

    Args:
        config: choices of the image encoder.
        params: parameters of `ViT(config)`, floating point of any type; computed with as float32.

    Returns:
        A function from `image uint8 [B, H, W, 3]` to float32 features, compiled once for each shape.
    """
    arranged = jax.jit(lambda tree: inference_parameters(tree, config))(params)
    program = jax.jit(
        lambda tree, image: encode(tree, image, config), compiler_options=compiler_options()
    )
    return lambda image: program(arranged, image)


def compiler_options() -> dict[str, Any]:
    """Return the members of `CPU_OPTIONS` that this version of XLA knows; none without a CPU backend."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in CPU_OPTIONS.items() if _is_known(name, value)}


def inference_parameters(params: Params, config: ViTConfig) -> dict[str, Any]:
    """Rearrange the parameters of `ViT(config)`, scanned or not, into those that `encode` expects.

    Returns:
        Kernels as `[out, in]`, query, key and value in one, the scale of the scores in the query's part;
        biases and norms as columns `[D, 1]`; `blocks`, one dict a block. All float32.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), dict(params))
    arranged: dict[str, Any] = {
        "blocks": [_block_parameters(block, config) for block in _blocks(params, config)],
        "patch_embedding": _linear(params["patch_embedding"]),
        "norm": _columns(params["norm"]),
    }
    for name in ("class_token", "registers", "position_embedding"):
        if name in params:
            value = params[name]
            arranged[name] = value.T if value.ndim > 1 else value[:, None]
    if "pre_norm" in params:
        arranged["pre_norm"] = _columns(params["pre_norm"])
    return arranged | {name: params[name] for name in ("pooling", "projection") if name in params}


def encode(params: Params, image: jax.Array, config: ViTConfig) -> Features:
    """Encode images one after the other.

    Args:
        params: what `inference_parameters` returns.
        image: uint8 `[B, H, W, 3]`.
        config: choices of the image encoder.

    Returns:
        The features of `ViT(config)` in float32, equal up to rounding.
    """
    pooled, tokens = jax.lax.map(lambda one: _encode_one(params, one, config), image)
    return Features(pooled, tokens)


def _encode_one(params: Params, image: jax.Array, config: ViTConfig) -> tuple[jax.Array, jax.Array]:
    """Encode `image uint8 [H, W, 3]` to the pooled vector `[E]` and the tokens `[P, D]`."""
    design = config.design
    pixels = patches(config.preprocessing.normalize(image[None], jnp.float32), config.patch)[0]
    x = _apply(params["patch_embedding"], pixels.T)
    # Rotary encoders put registers between class token and patches too, so one order serves both.
    prefix = [params["class_token"]] if design.class_token else []
    registers = [params["registers"]] if config.registers else []
    if design.rotary:
        x = jnp.concatenate([*prefix, *registers, x], axis=1)
    else:
        x = jnp.concatenate([*prefix, x], axis=1) + params["position_embedding"]
        x = jnp.concatenate([x[:, :1], *registers, x[:, 1:]], axis=1) if registers else x
    if design.pre_norm:
        x = _layer_norm(x, params["pre_norm"], config)
    for block in params["blocks"]:
        x = _block(x, block, config)
    x = _layer_norm(x, params["norm"], config)
    if design.pooling == "attention":
        pooling = AttentionPooling(config, jnp.float32)  # pyright: ignore[reportArgumentType]
        pooled: Any = pooling.apply({"params": params["pooling"]}, x.T[None])
        pooled = pooled[0]
    else:
        pooled = x[:, 0]
    if config.projection:
        pooled = pooled @ params["projection"]["kernel"]
    return pooled, x[:, config.prefix :].T


def _block(x: jax.Array, params: Params, config: ViTConfig) -> jax.Array:
    """Run one block on the tokens `x [D, N]`."""
    # Without the barriers XLA adds up the branches of all blocks again wherever their sum is read.
    h = _layer_norm(x, params["attention_norm"], config)
    h = _apply(params["out"], _attention(_apply(params["query_key_value"], h), config))
    x = jax.lax.optimization_barrier(x + h * params.get("attention_scale", 1.0))
    h = _layer_norm(x, params["mlp_norm"], config)
    hidden = _apply(params["up"], h)
    activation = ACTIVATIONS[config.activation]
    if config.gated_mlp:
        hidden = activation(_apply(params["gate"], h)) * hidden
    else:
        hidden = activation(hidden)
    h = _apply(params["down"], hidden)
    return jax.lax.optimization_barrier(x + h * params.get("mlp_scale", 1.0))


def _attention(projected: jax.Array, config: ViTConfig) -> jax.Array:
    """Attend within `projected [3 D, N]`, that is query, key and value; returns `[D, N]`."""
    heads, width = config.shape.heads, config.width
    query, key, value = projected.reshape(3, heads, width // heads, -1)
    if config.design.rotary:
        rotation = patch_rotation(config.grid, width // heads)
        query, key = (
            rotate(part.transpose(2, 0, 1)[None], rotation)[0].transpose(1, 2, 0)
            for part in (query, key)
        )

    def attend(head: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        query, key, value = head
        scores = key.T @ query
        weights = jnp.exp(scores - scores.max(axis=0, keepdims=True))
        return (value @ weights) / weights.sum(axis=0, keepdims=True)

    return jax.lax.map(attend, (query, key, value)).reshape(width, -1)


def _layer_norm(x: jax.Array, params: Params, config: ViTConfig) -> jax.Array:
    """Normalise each column of `x [D, N]`."""
    centred = x - x.mean(axis=0, keepdims=True)
    variance = jnp.square(centred).mean(axis=0, keepdims=True)
    scaled = centred * jax.lax.rsqrt(variance + config.norm_epsilon)
    return scaled * params["scale"] + params["bias"]


def _apply(params: Params, x: jax.Array) -> jax.Array:
    """Map `x [in, N]` to `[out, N]`."""
    y = params["kernel"] @ x
    return y + params["bias"] if "bias" in params else y


def _blocks(params: Params, config: ViTConfig) -> list[Any]:
    """Return the parameters of each block in order, whichever way the stacks are stored."""
    blocks = []
    for name, depth in zip(("frozen_blocks", "trained_blocks"), config.segments, strict=True):
        for index in range(depth):
            if config.scan:
                blocks.append(jax.tree.map(lambda leaf, i=index: leaf[i], params[name]))
            else:
                blocks.append(params[f"{name}_{index:02d}"])
    return blocks


def _block_parameters(block: Params, config: ViTConfig) -> dict[str, Any]:
    """Rearrange the parameters of one block."""
    width, attention = config.width, block["attention"]
    score_scale = (width // config.shape.heads) ** -0.5
    kernels, biases = [], []
    for name, factor in (("query", score_scale), ("key", 1.0), ("value", 1.0)):
        bias = attention[name].get("bias", jnp.zeros(width))
        kernels.append(attention[name]["kernel"].reshape(width, width).T * factor)
        biases.append(bias.reshape(width, 1) * factor)
    out = {
        "kernel": attention["out"]["kernel"].reshape(width, width),
        "bias": attention["out"]["bias"],
    }
    return {
        "query_key_value": {
            "kernel": jnp.concatenate(kernels),
            "bias": jnp.concatenate(biases),
        },
        "out": _linear(out),
        **{name: _linear(layer) for name, layer in block["mlp"].items()},
        **{name: _columns(block[name]) for name in ("attention_norm", "mlp_norm")},
        **{
            name: block[name][:, None] for name in ("attention_scale", "mlp_scale") if name in block
        },
    }


def _linear(params: Params) -> dict[str, jax.Array]:
    """Rearrange kernel `[in, out]` and bias `[out]` to `[out, in]` and `[out, 1]`."""
    arranged = {"kernel": params["kernel"].T}
    return arranged | ({"bias": params["bias"][:, None]} if "bias" in params else {})


def _columns(params: Params) -> dict[str, jax.Array]:
    """Turn the vectors of a norm into columns `[D, 1]`."""
    return {name: vector[:, None] for name, vector in params.items()}


def _is_known(name: str, value: object) -> bool:
    """Tell whether XLA accepts a compiler option; its options are experimental and come and go."""
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options={name: value})  # pyright: ignore[reportArgumentType]
    except jax.errors.JaxRuntimeError:
        return False
    return True
