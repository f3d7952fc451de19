"""A small location encoder and image head in torch, after the paper and the layout of its files."""

import io
import math

import numpy as np

from tests.parity.oracle import FOLDER, Oracle

SIGMAS, FREQUENCIES, HIDDEN, WIDTH = (1.0, 16.0, 256.0), 8, 12, 6
PLACES = [
    (0, 0), (90, 0), (-90, 13), (47.3769, 8.5417), (-33.8688, 151.2093), (64.1, -179.99999),
    (71.2, 180), (-54.8, -68.3), (1e-4, -1e-4), (35.68, 139.69), (85.05, -120), (-0.5, 100),
]  # fmt: skip


def encoder():
    import torch
    from torch import nn

    class Features(nn.Module):
        def __init__(self, sigma):
            super().__init__()
            self.b = nn.Parameter(torch.randn(FREQUENCIES, 2) * sigma, requires_grad=False)

        def forward(self, plane):
            angle = 2 * math.pi * plane @ self.b.T
            return torch.cat([angle.cos(), angle.sin()], -1)

    class Capsule(nn.Module):
        def __init__(self, sigma):
            super().__init__()
            layers = [Features(sigma)]
            for width in (2 * FREQUENCIES, HIDDEN, HIDDEN):
                layers += [nn.Linear(width, HIDDEN), nn.ReLU()]
            self.capsule = nn.Sequential(*layers)
            self.head = nn.Sequential(nn.Linear(HIDDEN, WIDTH))

        def forward(self, plane):
            return self.head(self.capsule(plane))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            for index, sigma in enumerate(SIGMAS):
                self.add_module(f"LocEnc{index}", Capsule(sigma))

        def forward(self, plane):
            return sum(capsule(plane) for capsule in self.children())

    torch.manual_seed(0)
    return Encoder().double()


def equal_earth(latlng):
    """Savric, Patterson and Jenny 2018, equations 4 and 5, in float64, at GeoCLIP's scale."""
    import torch

    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    latitude, longitude = torch.deg2rad(latlng).T
    theta = torch.asin(math.sqrt(3) / 2 * torch.sin(latitude))
    slope = 9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1
    east = 2 * math.sqrt(3) * longitude * torch.cos(theta) / (3 * slope)
    north = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    return torch.stack([east, north], 1) * 66.50336 / 180


def web_mercator(latlng):
    """EPSG 3857 in metres, north first as G3 has it, over half the equator; poles cut at 89.9 degrees."""
    import torch

    latitude, longitude = torch.deg2rad(
        latlng.clamp(
            min=torch.tensor([-89.9, -180]).double(), max=torch.tensor([89.9, 180]).double()
        )
    ).T
    radius = 6378137.0
    north = radius * torch.log(torch.tan(math.pi / 4 + latitude / 2))
    return torch.stack([north, radius * longitude], 1) / 20037508.342789244


def state_file(module):
    import torch

    stream = io.BytesIO()
    torch.save({name: value.float() for name, value in module.state_dict().items()}, stream)
    return np.frombuffer(stream.getvalue(), np.uint8)


def oracles():
    """The encoder with either projection, in float64; its file of torch stands among the weights."""
    import torch

    latlng = np.array(PLACES, np.float32)
    made = []
    for name, project in (("equal_earth", equal_earth), ("web_mercator", web_mercator)):
        module = encoder()
        module.load_state_dict({k: v.float().double() for k, v in module.state_dict().items()})
        plane = project(torch.from_numpy(latlng).double())
        with torch.no_grad():
            expected = {f"capsules_{i}": c(plane).numpy() for i, c in enumerate(module.children())}
            expected["pooled"] = module(plane).numpy()
        expected["plane"] = plane.numpy()
        made.append(
            Oracle(
                name=f"location_encoder_{name}",
                config={"projection": name},
                preprocessor=None,
                weights={"location_encoder_weights.pth": state_file(module)},
                inputs={"latlng": latlng},
                expected=expected,
                source=f"torch {torch.__version__}, float64",
            )
        )
    return [*made, image_head()]


def image_head():
    import torch
    from torch import nn

    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, WIDTH))
    x = torch.randn(5, 10)
    with torch.no_grad():
        pooled = module(x).numpy()
    return Oracle(
        name="geoclip_image_head",
        config={},
        preprocessor=None,
        weights={"image_encoder_mlp_weights.pth": state_file(module)},
        inputs={"x": x.numpy()},
        expected={"pooled": pooled},
        source=f"torch {torch.__version__}",
    )


if __name__ == "__main__":
    for oracle in oracles():
        print(oracle.freeze(FOLDER))
