"""Small Swin, ResNet and EfficientNet models of transformers, every weight and statistic random."""

import json
import math

import numpy as np

from tests.parity.oracle import Oracle


def oracles() -> list[Oracle]:
    """Needs torch and transformers."""
    return [
        # Maps of 7 and 4 tokens a side, both padded for windows of 3, and an odd map merged.
        _swin("swin-padded", image_size=28, window=3, classifier=False),
        # Maps of 8 and 4 tokens a side: the last is one window, which is not shifted.
        _swin("swin-whole", image_size=32, window=4, classifier=True),
        _resnet("resnet-basic", (8, 16), (2, 1), "basic", image_size=33, classifier=True),
        _resnet(
            "resnet-bottleneck", (16, 32), (1, 2), "bottleneck", image_size=40, classifier=False
        ),
        # Strides over maps of 18 and 9 pixels; over 17 and 9.
        _efficientnet("efficientnet-even", image_size=36, square_padding=[3], classifier=True),
        _efficientnet("efficientnet-odd", image_size=34, square_padding=[1, 3], classifier=False),
    ]


def _swin(name, image_size, window, classifier):
    from transformers import SwinConfig, SwinForImageClassification, SwinModel, ViTImageProcessor

    config = SwinConfig(
        image_size=image_size,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=window,
        layer_norm_eps=1e-3,
    )
    whole = (SwinForImageClassification if classifier else SwinModel)(config)
    model = whole.swin if classifier else whole
    processor = ViTImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        resample=3,
    )
    watched = {"patch_norm": model.embeddings.norm}
    for index, stage in enumerate(model.encoder.layers):
        if stage.downsample is not None:
            watched[f"stage_{index + 1}/merging"] = stage.downsample
        watched[f"stage_{index}/block_00"], watched[f"stage_{index}"] = stage.blocks
        watched[f"stage_{index}/block_01/attention"] = stage.blocks[1].attention
    oracle = _observe(name, whole, model, processor, image_size, watched)
    for path, value in oracle.expected.items():
        if path.endswith("attention"):
            tokens, width = value.shape[1:]
            oracle.expected[path] = value.reshape(2, -1, tokens, width)
        elif path not in ("tokens", "pooled"):
            side = math.isqrt(value.shape[1])
            oracle.expected[path] = value.reshape(2, side, side, -1)
    return oracle


def _resnet(name, widths, depths, layer_type, image_size, classifier):
    from transformers import (
        ConvNextImageProcessor,
        ResNetConfig,
        ResNetForImageClassification,
        ResNetModel,
    )

    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[*widths], depths=[*depths], layer_type=layer_type
    )
    whole = (ResNetForImageClassification if classifier else ResNetModel)(config)
    model = whole.resnet if classifier else whole
    processor = ConvNextImageProcessor(
        size={"shortest_edge": image_size},
        crop_pct=0.875,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    watched = {"stem": model.embedder.embedder.normalization}
    for index, stage in enumerate(model.encoder.stages):
        watched[f"stage_{index}"] = stage
        watched[f"stage_{index}/block_00"] = stage.layers[0]
        watched[f"stage_{index}/block_00/layer_0"] = stage.layers[0].layer[0].normalization
    watched["stage_1/block_00/shortcut"] = model.encoder.stages[1].layers[0].shortcut
    return _observe(name, whole, model, processor, image_size, watched)


def _efficientnet(name, image_size, square_padding, classifier):
    from transformers import (
        EfficientNetConfig,
        EfficientNetForImageClassification,
        EfficientNetImageProcessor,
        EfficientNetModel,
    )

    config = EfficientNetConfig(
        image_size=image_size,
        width_coefficient=0.025,
        depth_coefficient=1.0,
        kernel_sizes=[3, 3, 5],
        in_channels=[32, 320, 320],
        out_channels=[320, 320, 640],
        depthwise_padding=square_padding,
        strides=[1, 2, 2],
        num_block_repeats=[1, 2, 1],
        expand_ratios=[1, 2, 4],
        hidden_dim=32,
    )
    whole = (EfficientNetForImageClassification if classifier else EfficientNetModel)(config)
    model = whole.efficientnet if classifier else whole
    processor = EfficientNetImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.47853944, 0.4732864, 0.47434163],
        rescale_offset=not classifier,
        rescale_factor=1 / 255 if classifier else 1 / 127.5,
        include_top=classifier,
    )
    watched = {"stem": model.embeddings.batchnorm, "top": model.encoder.top_bn}
    paths = ["stage_0/block_00", "stage_1/block_00", "stage_1/block_01", "stage_2/block_00"]
    for path, block in zip(paths, model.encoder.blocks, strict=True):
        watched[path] = block
        watched[f"{path}/depthwise"] = block.depthwise_conv.depthwise_norm
    watched["stage_1/block_00/squeeze"] = model.encoder.blocks[1].squeeze_excite
    return _observe(name, whole, model, processor, image_size, watched)


def _observe(name, whole, model, processor, image_size, watched):
    """Runs `model`, part of `whole`, on two photos of noise, and keeps what the watched modules put out."""
    import torch
    import transformers

    randomize(whole)
    whole.eval()
    image = (
        np.random.default_rng(1).integers(0, 256, (2, image_size, image_size, 3)).astype(np.uint8)
    )
    pixels = processor(list(image), do_resize=False, return_tensors="np")["pixel_values"]
    seen, hooks = {}, []

    def watch(path):
        def hook(module, arguments, output):
            seen[path] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    for path, module in watched.items():
        hooks.append(module.register_forward_hook(watch(path)))
    with torch.no_grad():
        output = model(torch.tensor(np.asarray(pixels, np.float32)))
    for hook in hooks:
        hook.remove()
    seen["tokens"] = output.last_hidden_state
    expected = {path: channels_last(value) for path, value in seen.items()}
    expected["tokens"] = expected["tokens"].reshape(2, -1, expected["tokens"].shape[-1])
    expected["pooled"] = output.pooler_output.reshape(2, -1).numpy()
    return Oracle(
        name=name,
        config=json.loads(whole.config.to_json_string(use_diff=True)),
        preprocessor=json.loads(processor.to_json_string()),
        weights={key: value.numpy() for key, value in whole.state_dict().items()},
        inputs={"image": image},
        expected=expected,
        source=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )


def channels_last(value):
    array = value.detach().numpy()
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)


def randomize(model):
    """Gives every weight and statistic a value that matters, exact in float16, which compresses."""
    import torch

    random = np.random.default_rng(0)
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = random.standard_normal(tuple(value.shape))
        if key.endswith("running_var"):
            noise = np.exp(0.3 * noise)
        elif key.endswith("relative_position_bias_table") or value.ndim == 1:
            scales = value.ndim == 1 and key.endswith("weight")
            noise = 1.0 * scales + 0.3 * noise
        else:
            noise *= math.prod(value.shape[1:]) ** -0.5
        value.copy_(torch.tensor(noise.astype(np.float16)))
