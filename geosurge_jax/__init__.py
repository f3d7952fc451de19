"""Worldwide image geo-localization in JAX: from one image to a probability over the whole Earth.

    from geosurge_jax import Predictor

    predictor = Predictor.from_pretrained("geoclip")
    prediction = predictor.predict("holiday.jpg")
    prediction.latlng, prediction.probability

The rooms of the package and the order of their imports: `docs/architecture.md`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geosurge_jax.serving.location_encoder import LocationEncoder
    from geosurge_jax.serving.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["LocationEncoder", "Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the public classes when they are first asked for, so that the command answers at once."""
    if name == "Predictor":
        from geosurge_jax.serving.predictor import Predictor

        return Predictor
    if name == "LocationEncoder":
        from geosurge_jax.serving.location_encoder import LocationEncoder

        return LocationEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
