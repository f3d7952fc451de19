"""Predictions and a Predictor that need no model."""

import numpy as np

from geosurge_jax.serving.images import readable_name
from geosurge_jax.serving.prediction import FailedPrediction, ImagePosterior, Prediction

SUPPORT = np.array([[48.85661, 2.35222], [-33.9, 151.2], [0.00001, -179.5]], np.float32)
PROBABILITY = np.array([0.25, 0.7, 0.05], np.float32)
MOST_LIKELY = (float(SUPPORT[1, 0]), float(SUPPORT[1, 1]))


def prediction(image="a, b.jpg", latlng=MOST_LIKELY, warnings=(), decision="top"):
    posterior = ImagePosterior(SUPPORT, np.log(PROBABILITY))
    return Prediction(image, latlng, posterior, decision, "test model", tuple(warnings))


class MadeUpPredictor:
    """Answers at once; files whose name holds "bad" cannot be read. Records what it was asked."""

    step, name = 3, "test model"

    def __init__(self, **options):
        self.options = options
        self.asked = []
        self.stop_after = None

    def predict(self, images, *, segmentation_maps=None):
        del segmentation_maps
        for source in images:
            name = readable_name(source, 0)
            if len(self.asked) == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(name)
            if "bad" in name:
                yield FailedPrediction(name, f"{name}: not an image")
            else:
                yield prediction(name, warnings=("synthetic",))

    def embed(self, images, *, segmentation_maps=None):
        del segmentation_maps
        for number, source in enumerate(images):
            name = readable_name(source, 0)
            if "bad" in name:
                yield FailedPrediction(name, f"{name}: not an image")
            else:
                yield np.full(4, number, np.float32)

    def query(self, sentences):
        return [prediction(sentence) for sentence in sentences]

    def describe(self):
        return {"name": self.name, "system": "made up"}

    @property
    def model(self):
        return self

    @property
    def provenance(self):
        return self
