"""Small SegFormers of transformers, every weight and statistic random."""

import json

import numpy as np

from tests.parity.oracle import Oracle
from tests.parity.oracles_convolutional import channels_last, randomize

# Height and width of the maps asked for, of a landscape and a portrait photo.
MAP_SIZES = ((21, 30), (33, 21))


def oracles() -> list[Oracle]:
    """Needs torch and transformers."""
    # Maps of 16, 8, 4, 2 pixels a side; and of 18, 9, 5, 3, which the decoder brings to 18.
    return [_segformer("segformer-even", 64), _segformer("segformer-odd", 72)]


def _segformer(name, image_size):
    import torch
    import transformers

    config = transformers.SegformerConfig(
        depths=[1, 2, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
        layer_norm_eps=1e-3,  # read by nobody
        id2label={number: f"class {number}" for number in range(5)},
    )
    model = transformers.SegformerForSemanticSegmentation(config)
    processor = transformers.SegformerImageProcessor(
        size={"height": image_size, "width": image_size}, do_reduce_labels=True
    )
    randomize(model)
    model.eval()
    image = np.random.default_rng(1).integers(0, 256, (2, image_size, image_size, 3), np.uint8)
    pixels = processor(list(image), do_resize=False, return_tensors="np")["pixel_values"]
    encoder, seen = model.segformer.encoder, {}
    watched = {
        "stage_0/block_00": encoder.block[0][0],
        "stage_1/block_01/attention": encoder.block[1][1].attention,
        "stage_1/block_01/mlp": encoder.block[1][1].mlp,
        "stage_2/patch_norm": encoder.patch_embeddings[2].layer_norm,
        "decoder/norm": model.decode_head.batch_norm,
        **{f"stage_{index}/norm": norm for index, norm in enumerate(encoder.layer_norm)},
    }

    def watch(path):
        def hook(module, arguments, output):
            seen[path] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    hooks = [module.register_forward_hook(watch(path)) for path, module in watched.items()]
    with torch.no_grad():
        output = model(torch.tensor(np.asarray(pixels, np.float32)))
    for hook in hooks:
        hook.remove()
    expected = {path: channels_last(value) for path, value in seen.items()}
    for path, value in expected.items():
        if value.ndim == 3 and not path.endswith("attention"):
            side = round(value.shape[1] ** 0.5)
            expected[path] = value.reshape(2, side, side, -1)
    expected["logits"] = channels_last(output.logits)
    maps = processor.post_process_semantic_segmentation(output, target_sizes=list(MAP_SIZES))
    for number, found in enumerate(maps):
        expected[f"map_{number}"] = found.numpy().astype(np.uint8)
    return Oracle(
        name=name,
        config=json.loads(config.to_json_string(use_diff=True)),
        preprocessor=json.loads(processor.to_json_string()),
        weights={key: value.numpy() for key, value in model.state_dict().items()},
        inputs={"image": image},
        expected=expected,
        source=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )
