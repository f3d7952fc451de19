"""Small random text towers of transformers: whole CLIPs and SigLIPs, and the towers alone."""

import json

import numpy as np

from tests.parity.oracle import FOLDER, Oracle

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 9,
}
VISION = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
END = 39  # the largest id, as in CLIP's own vocabulary


def sentences(length, end, seed=0):
    """Framed and padded with the end token, one cut off where the context ends."""
    ids = np.random.default_rng(seed).integers(3, 30, size=(3, length))
    for row, last in enumerate((2, length // 2, length - 1)):
        ids[row, last:] = end
    return ids.astype(np.int32)


def randomize(model):
    """Values of every parameter that leave activations of order 1 and no bias or scale at its default."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.2
            center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(center + spread * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def record(name, model, text_model, tokens, pooled):
    """Runs the model with hooks on what our module names."""
    import torch
    import transformers

    seen = {}

    def keep(path):
        def hook(module, args, output):
            seen[path] = (output[0] if isinstance(output, tuple) else output).numpy()

        return hook

    for index, layer in enumerate(text_model.encoder.layers):
        layer.register_forward_hook(keep(f"blocks_{index:02d}"))
    text_model.final_layer_norm.register_forward_hook(keep("norm"))
    with torch.no_grad():
        seen["pooled"] = pooled(model, torch.from_numpy(tokens.astype(np.int64))).numpy()
    return Oracle(
        name=name,
        config=json.loads(model.config.to_json_string()),
        preprocessor=None,
        weights={key: value.numpy() for key, value in model.state_dict().items()},
        inputs={"tokens": tokens},
        expected=seen,
        source=f"transformers {transformers.__version__}, torch {torch.__version__}",
    )


def frozen_ids(name):
    """Ids that the frozen tokenizer's maker gives for its sentences, and the size of its vocabulary."""
    folder = FOLDER / f"tokenizer_{name}"
    ids = np.array(json.loads((folder / "expected.json").read_text())["ids"], np.int32)
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return ids, len(words)


def whole_encoders():
    """Thin towers with the vocabularies of the frozen tokenizers, run on their sentences."""
    import transformers as t

    thin = SIZES | {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    made = []
    for name, config, model_class, special in (
        ("clip", t.CLIPTextConfig, t.CLIPTextModelWithProjection, {"eos_token_id": 785}),
        ("siglip", t.SiglipTextConfig, t.SiglipTextModel, {}),
    ):
        ids, vocabulary = frozen_ids(name)
        sizes = thin | {"vocab_size": vocabulary, "max_position_embeddings": ids.shape[1]}
        model = randomize(model_class(config(**sizes | special)))
        made.append(record(f"text_encoder_{name}", model, model.text_model, ids, pooled_output))
    return made


def pooled_output(model, tokens):
    output = model(tokens)
    return output["text_embeds" if "text_embeds" in output else "pooler_output"]


def oracles():
    """CLIP whole with OpenAI's end token 2, CLIP's tower alone with its own; SigLIP 1 and 2."""
    import transformers as t

    legacy = t.CLIPModel(
        t.CLIPConfig(
            text_config=SIZES | {"eos_token_id": 2}, vision_config=VISION, projection_dim=12
        )
    )
    explicit = t.CLIPTextModelWithProjection(
        t.CLIPTextConfig(
            **SIZES | {"eos_token_id": 31},
            hidden_act="gelu",
            projection_dim=10,
            layer_norm_eps=1e-3,
        )
    )
    siglip = t.SiglipModel(t.SiglipConfig(text_config=SIZES, vision_config=VISION))
    siglip2 = t.Siglip2TextModel(t.Siglip2TextConfig(**SIZES, projection_size=20))

    def features(model, tokens):
        return model.get_text_features(tokens)

    return [
        *whole_encoders(),
        record(
            "clip_text_legacy_end",
            randomize(legacy),
            legacy.text_model,
            sentences(SIZES["max_position_embeddings"], END),
            features,
        ),
        record(
            "clip_text_explicit_end",
            randomize(explicit),
            explicit.text_model,
            # shorter than the context, and larger ids than the end token's before and after it
            np.array([[33, 5, 31, 31, 39, 2], [4, 35, 7, 9, 31, 34]], np.int32),
            pooled_output,
        ),
        record(
            "siglip_text",
            randomize(siglip),
            siglip.text_model,
            sentences(SIZES["max_position_embeddings"], 1),
            features,
        ),
        record(
            "siglip2_text_short",
            randomize(siglip2),
            siglip2.text_model,
            sentences(6, 0),
            pooled_output,
        ),
    ]


if __name__ == "__main__":
    for oracle in oracles():
        oracle.freeze()
