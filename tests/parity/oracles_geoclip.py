"""The official GeoCLIP made small: its own code, from pixels to the probability of each place of a gallery.

Sizes that the official code has as constants are set from outside; everything that computes is its own. It
computes in float64: in float32 the phases of the finest capsule cost it more than 1e-4 of a probability.
"""

import copy

import numpy as np

from tests.parity.oracle import Oracle

SIDE, WIDTH, HEADS, DEPTH, PATCH, PROJECTION, HIDDEN, FREQUENCIES = 32, 32, 2, 2, 8, 24, 12, 8
SIGMAS, PLACES, SPACE = (
    (1, 16, 256),
    60,
    512,
)  # the official forward pass knows no other width than 512


def small_model():
    """A GeoCLIP of the official classes, random, with a small CLIP."""
    import geoclip
    import torch
    from geoclip.model.location_encoder import LocationEncoderCapsule
    from geoclip.model.rff import GaussianEncoding
    from torch import nn
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    tower = dict(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        projection_dim=PROJECTION,
    )
    text = dict(vocab_size=99, max_position_embeddings=8, bos_token_id=0, eos_token_id=2)
    config = CLIPConfig(
        projection_dim=PROJECTION,
        vision_config=dict(patch_size=PATCH, image_size=SIDE, **tower),
        text_config=dict(**text, **tower),
    )
    model = geoclip.GeoCLIP.__new__(geoclip.GeoCLIP)
    nn.Module.__init__(model)
    model.logit_scale = nn.Parameter(torch.tensor(3.5))
    encoder = geoclip.ImageEncoder.__new__(geoclip.ImageEncoder)
    nn.Module.__init__(encoder)
    encoder.CLIP = CLIPModel(config)
    encoder.image_processor = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    encoder.mlp = nn.Sequential(nn.Linear(PROJECTION, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SPACE))
    with torch.no_grad():
        for parameter in encoder.CLIP.vision_model.parameters():
            parameter.mul_(10.0)  # as drawn, all images look alike to it
    model.image_encoder = encoder
    places = geoclip.LocationEncoder.__new__(geoclip.LocationEncoder)
    nn.Module.__init__(places)
    places.sigma, places.n = list(SIGMAS), len(SIGMAS)
    for index, sigma in enumerate(SIGMAS):
        capsule = LocationEncoderCapsule.__new__(LocationEncoderCapsule)
        nn.Module.__init__(capsule)
        features = GaussianEncoding(sigma=float(sigma), input_size=2, encoded_size=FREQUENCIES)
        layers = [features]
        for inputs in (2 * FREQUENCIES, HIDDEN, HIDDEN):
            layers += [nn.Linear(inputs, HIDDEN), nn.ReLU()]
        capsule.capsule = nn.Sequential(*layers)
        capsule.head = nn.Sequential(nn.Linear(HIDDEN, SPACE))
        places.add_module(f"LocEnc{index}", capsule)
    model.location_encoder = places
    return model.eval()


def gallery():
    """Places of a gallery, the last ten twice, in the six decimals of its CSV file."""
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, PLACES), rng.uniform(-180, 180, PLACES)], axis=1)
    return np.round(np.concatenate([latlng, latlng[-10:]]), 6)


def pictures():
    """Images of several shapes: stripes and noise."""
    rng = np.random.default_rng(1)
    for height, width in ((32, 32), (48, 40), (33, 70), (90, 41)):
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
        yield np.kron(coarse, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def oracles():
    import torch
    from geoclip.model.location_encoder import equal_earth_projection
    from PIL import Image
    from torch.nn.functional import normalize

    model, places, images = small_model(), gallery(), [*pictures()]
    prefixes = ("location_encoder.", "image_encoder.mlp.", "logit_scale")
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    clip = {
        name.removeprefix("image_encoder.CLIP."): value
        for name, value in state.items()
        if name.startswith("image_encoder.CLIP.") and not name.endswith("position_ids")
    }
    release = {
        "model_type": "geoclip-geolocation",
        "format_version": 1,
        "sigma": [*SIGMAS],
        "gallery_file": "places.csv",
        "backbone": {"repo_id": "somebody/small-clip", "revision": "abc"},
    }
    expected = {}
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        # Its location encoder adds the capsules up in float32, whatever they are computed in.
        plane = equal_earth_projection(torch.tensor(places, dtype=torch.float32).double())
        located = sum(capsule(plane) for capsule in exact.location_encoder.children())
        unit = normalize(located)
        expected["locations"] = located.numpy().astype(np.float32)
        for number, pixels in enumerate(images):
            values = model.image_encoder.preprocess_image(Image.fromarray(pixels))
            vector = normalize(exact.image_encoder(values.double()))
            probability = (exact.logit_scale.exp() * vector @ unit.T).softmax(dim=-1)[0]
            expected[f"pixel_values_{number}"] = values[0].numpy()
            expected[f"probability_{number}"] = probability.numpy().astype(np.float32)
            expected[f"top_{number}"] = (
                torch.topk(probability, 5).indices.numpy().astype(np.float32)
            )
    yield Oracle(
        name="geoclip_release",
        config=release,
        preprocessor=None,
        weights={name: value for name, value in state.items() if name.startswith(prefixes)},
        inputs={"gallery": places, **{f"image_{n}": one for n, one in enumerate(images)}},
        expected=expected,
        source="geoclip 1.3.0, transformers 4.57.6, torch 2.13.0",
    )
    yield Oracle(
        name="geoclip_backbone",
        config=model.image_encoder.CLIP.config.to_dict(),
        preprocessor=model.image_encoder.image_processor.to_dict(),
        weights=clip,
        inputs={},
        expected={},
        source="transformers 4.57.6",
    )
