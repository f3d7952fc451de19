"""Small random Vision Transformers of transformers: CLIP, SigLIP, ViT, DINOv2 and DINOv3."""

import numpy as np

from tests.parity.oracle import Oracle

MU = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8)
STATISTICS = dict(image_mean=[0.48, 0.46, 0.41], image_std=[0.27, 0.26, 0.28])
SHORT = dict(
    STATISTICS, do_resize=True, size={"shortest_edge": 32}, resample=3, do_center_crop=True,
    crop_size={"height": 32, "width": 32}, do_rescale=True, rescale_factor=1 / 255, do_normalize=True,
)  # fmt: skip
STRETCH = dict(
    STATISTICS, do_resize=True, size={"height": 32, "width": 32}, resample=3, do_rescale=True,
    rescale_factor=1 / 255, do_normalize=True,
)  # fmt: skip


def randomize(model, seed):
    """Weights of order 1 in every tensor, so that none of them may be left out; float16 values."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            scale = 0.7 / max(tensor.shape[-1], 1) ** 0.5 if tensor.ndim > 1 else 0.3
            if any(part in name for part in ("cls_token", "position", "register", "probe")):
                scale = 0.5
            centre = 1.0 if "norm" in name and name.endswith("weight") or "lambda" in name else 0.0
            tensor.copy_((centre + scale * noise).half().float())
    return model.eval()


def pixels(image):
    """uint8 [B, H, W, 3] to what a processor would make of it, [B, 3, H, W]."""
    import torch

    mean, deviation = (np.array(STATISTICS[name]) for name in ("image_mean", "image_std"))
    return torch.from_numpy(((image / 255 - mean) / deviation).transpose(0, 3, 1, 2)).float()


def capture(model, modules, image, **options):
    """Runs a model; returns the outputs of named submodules, their first part where there are several."""
    import torch

    seen = {}

    def keep(name):
        def hook(module, arguments, output):
            seen[name] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        output = model(pixels(image), **options)
    for handle in handles:
        handle.remove()
    return output, seen


def image(side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3)).astype(np.uint8)


def oracle(name, model, preprocessor, photo, expected):
    import transformers

    config = {**model.config.to_diff_dict(), "model_type": model.config.model_type}
    config.pop("transformers_version", None)
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    return Oracle(
        name=name,
        config=config,
        preprocessor=preprocessor,
        weights=state,
        inputs={"image": photo},
        expected={key: value.numpy().astype(np.float32) for key, value in expected.items()},
        source=f"transformers {transformers.__version__}",
    )


def resized(preprocessor, side):
    """The same processor for another resolution."""
    square = {"height": side, "width": side}
    if "crop_size" in preprocessor:
        return dict(preprocessor, size={"shortest_edge": side}, crop_size=square)
    return dict(preprocessor, size=square)


def clip(name, side=32, act="quick_gelu", projection=24):
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(**MU, intermediate_size=64, projection_dim=projection, hidden_act=act)
    model = randomize(CLIPVisionModelWithProjection(config), 1)
    vision = model.vision_model
    modules = {f"blocks_{i:02d}": layer for i, layer in enumerate(vision.encoder.layers)}
    modules |= {"pre_norm": vision.pre_layrnorm}
    photo = image(side)
    output, seen = capture(model, modules, photo, interpolate_pos_encoding=side != 32)
    with torch.no_grad():
        normed = vision.post_layernorm(output.last_hidden_state)
    seen |= {"norm": normed, "tokens": normed[:, 1:], "pooled": output.image_embeds}
    # transformers gives the whole model's projection only with the whole model's type.
    made = oracle(name, model, resized(SHORT, side), photo, seen)
    whole = {
        "model_type": "clip",
        "projection_dim": projection,
        "vision_config": made.config,
        "text_config": {},
    }
    return Oracle(**{**vars(made), "config": whole})


def siglip(name, side=32, trained_side=32):
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(**MU | {"image_size": trained_side}, intermediate_size=64)
    model = randomize(SiglipVisionModel(config), 2)
    vision = model.vision_model
    modules = {f"blocks_{i:02d}": layer for i, layer in enumerate(vision.encoder.layers)}
    modules |= {"norm": vision.post_layernorm, "pooling/norm": vision.head.layernorm}
    photo = image(side)
    output, seen = capture(model, modules, photo, interpolate_pos_encoding=side != trained_side)
    seen |= {"tokens": output.last_hidden_state, "pooled": output.pooler_output}
    return oracle(name, model, resized(STRETCH, side), photo, seen)


def vit(name, side=32):
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**MU, intermediate_size=64, hidden_dropout_prob=0.0)
    model = randomize(ViTModel(config), 3)
    modules = {f"blocks_{i:02d}": layer for i, layer in enumerate(model.encoder.layer)}
    photo = image(side)
    output, seen = capture(model, modules, photo, interpolate_pos_encoding=side != 32)
    last = output.last_hidden_state
    seen |= {"norm": last, "tokens": last[:, 1:], "pooled": last[:, 0]}
    return oracle(name, model, resized(STRETCH, side), photo, seen)


def dinov2(name, side=32, registers=0, gated=False):
    from transformers import (
        Dinov2Config,
        Dinov2Model,
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
    )

    # A gated MLP has two thirds of the width, rounded up to a multiple of 8: 64 of 96.
    options = dict(MU, mlp_ratio=3 if gated else 2, use_swiglu_ffn=gated)
    if registers:
        config = Dinov2WithRegistersConfig(**options, num_register_tokens=registers)
        model = randomize(Dinov2WithRegistersModel(config), 4)
    else:
        model = randomize(Dinov2Model(Dinov2Config(**options)), 5)
    modules = {f"blocks_{i:02d}": layer for i, layer in enumerate(model.encoder.layer)}
    photo = image(side)
    output, seen = capture(model, modules, photo)
    last = output.last_hidden_state
    seen |= {"norm": last, "tokens": last[:, 1 + registers :], "pooled": last[:, 0]}
    return oracle(name, model, resized(SHORT, side), photo, seen)


def dinov3(name, gated=False, registers=3):
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        **MU, intermediate_size=64, num_register_tokens=registers, use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
    )  # fmt: skip
    model = randomize(DINOv3ViTModel(config), 6)
    modules = {f"blocks_{i:02d}": layer for i, layer in enumerate(model.layer)}
    photo = image()
    output, seen = capture(model, modules, photo)
    last = output.last_hidden_state
    seen |= {"norm": last, "tokens": last[:, 1 + registers :], "pooled": last[:, 0]}
    return oracle(name, model, STRETCH, photo, seen)


def oracles():
    """All of them."""
    return [
        clip("clip"),
        clip("clip_gelu", act="gelu"),
        clip("clip_resized", side=48),
        siglip("siglip"),
        siglip("siglip_resized", side=24),
        # Whole patches and three pixels more, as SO400M has 384 pixels for 27 patches of 14.
        siglip("siglip_uneven", side=35, trained_side=35),
        vit("vit"),
        vit("vit_resized", side=48),
        dinov2("dinov2"),
        dinov2("dinov2_resized", side=56),
        dinov2("dinov2_registers", side=24, registers=4),
        dinov2("dinov2_gated", gated=True),
        dinov3("dinov3"),
        dinov3("dinov3_gated", gated=True, registers=0),
    ]
