"""config.json of published models: what it says that decides the shapes of their tensors.

Typed from the files of the models named; entries that only training or generation use are left out.
"""

CLIP_TEXT = {"model_type": "clip_text_model", "vocab_size": 49408, "max_position_embeddings": 77}


def clip(
    width,
    depth,
    heads,
    patch,
    *,
    side=224,
    text_width=512,
    text_heads=8,
    act="quick_gelu",
    text_depth=12,
):
    """A whole CLIP; its projection is as wide as its text tower but for H."""
    projection = 1024 if width == 1280 else text_width
    return {
        "model_type": "clip",
        "projection_dim": projection,
        "text_config": {
            **CLIP_TEXT, "hidden_size": text_width, "intermediate_size": 4 * text_width,
            "num_attention_heads": text_heads, "num_hidden_layers": text_depth, "hidden_act": act,
            "projection_dim": projection, "eos_token_id": 2,
        },
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": width, "intermediate_size": 4 * width,
            "num_attention_heads": heads, "num_hidden_layers": depth, "patch_size": patch,
            "image_size": side, "hidden_act": act, "projection_dim": projection,
        },
    }  # fmt: skip


def siglip(vocabulary, text=None, vision=None):
    """A whole SigLIP, which leaves out what is as in the base model."""
    return {
        "model_type": "siglip",
        "text_config": {"model_type": "siglip_text_model", "vocab_size": vocabulary, **(text or {})},
        "vision_config": {"model_type": "siglip_vision_model", **(vision or {})},
    }  # fmt: skip


SO400M = {
    "hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27,
}  # fmt: skip


def vit(width, depth, heads):
    return {
        "model_type": "vit", "hidden_size": width, "intermediate_size": 4 * width, "image_size": 224,
        "num_attention_heads": heads, "num_hidden_layers": depth, "patch_size": 16, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "qkv_bias": True,
    }  # fmt: skip


def dinov2(width, depth, heads, *, gated=False, registers=False):
    config = {
        "model_type": "dinov2", "hidden_size": width, "num_attention_heads": heads, "mlp_ratio": 4,
        "num_hidden_layers": depth, "image_size": 518, "patch_size": 14, "hidden_act": "gelu",
        "layer_norm_eps": 1e-6, "qkv_bias": True, "use_swiglu_ffn": gated, "layerscale_value": 1.0,
    }  # fmt: skip
    if registers:
        config |= {"model_type": "dinov2_with_registers", "num_register_tokens": 4}
    return config


def dinov3(width, depth, heads, mlp, *, gated=False):
    return {
        "model_type": "dinov3_vit", "hidden_size": width, "num_attention_heads": heads,
        "intermediate_size": mlp, "num_hidden_layers": depth, "image_size": 224, "patch_size": 16,
        "hidden_act": "silu" if gated else "gelu", "use_gated_mlp": gated, "num_register_tokens": 4,
        "query_bias": True, "key_bias": False, "value_bias": True, "proj_bias": True, "mlp_bias": True,
        "layer_norm_eps": 1e-5, "rope_theta": 100.0,
    }  # fmt: skip


SIZES = {
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "giant": (1536, 40, 24),
}

PUBLISHED = {
    "openai/clip-vit-base-patch32": clip(768, 12, 12, 32),
    "openai/clip-vit-base-patch16": clip(768, 12, 12, 16),
    "openai/clip-vit-large-patch14": clip(1024, 24, 16, 14, text_width=768, text_heads=12),
    # StreetCLIP has the same shapes.
    "openai/clip-vit-large-patch14-336": clip(
        1024, 24, 16, 14, side=336, text_width=768, text_heads=12
    ),
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": clip(
        1280, 32, 16, 14, text_width=1024, text_heads=16, text_depth=24, act="gelu"
    ),
    "google/siglip-base-patch16-224": siglip(32000),
    "google/siglip-so400m-patch14-384": siglip(
        32000, SO400M, {**SO400M, "image_size": 384, "patch_size": 14}
    ),
    "google/siglip2-base-patch16-256": siglip(256000, None, {"image_size": 256}),
    "google/vit-base-patch16-224": vit(*SIZES["base"]),
    "google/vit-large-patch16-224": vit(*SIZES["large"]),
    **{
        f"facebook/dinov2-{'with-registers-' * registers}{size}": dinov2(
            *shape, gated=size == "giant", registers=registers
        )
        for size, shape in SIZES.items()
        for registers in (False, True)
    },
    "facebook/dinov3-vits16-pretrain-lvd1689m": dinov3(384, 12, 6, 1536),
    "facebook/dinov3-vits16plus-pretrain-lvd1689m": dinov3(384, 12, 6, 1536, gated=True),
    "facebook/dinov3-vitb16-pretrain-lvd1689m": dinov3(768, 12, 12, 3072),
    "facebook/dinov3-vitl16-pretrain-lvd1689m": dinov3(1024, 24, 16, 4096),
    "facebook/dinov3-vith16plus-pretrain-lvd1689m": dinov3(1280, 32, 20, 5120, gated=True),
}  # fmt: skip

MODELS = {
    "clip": "CLIPModel",
    "siglip": "SiglipModel",
    "vit": "ViTForImageClassification",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
}
