"""What is known of a model, as rows for people."""

from geosurge_jax.experiment.trained_model import TrainedModel


def describe_model(model: TrainedModel, views: int) -> dict[str, str]:
    """Returns rows (name, value); what is not known is left out.

    Args:
        model: the model.
        views: test-time views of each image.
    """
    provenance = model.provenance
    rows = {
        "name": provenance.name,
        "source": provenance.source,
        "system": model.system.name,
        "license": provenance.license or "not stated",
        "training data": provenance.training_data,
        "training step": "" if provenance.step is None else str(provenance.step),
        **dict(model.system.description),
        "image size": f"{model.system.preprocessing.image_size} px",
        "views": str(views),
        "decision rule": model.decision,
        "compute type": model.config.compute_dtype,
        "devices": ", ".join(sorted({device.device_kind for device in model.mesh.devices.flat})),
        "probabilities": "not calibrated",
        "warnings": "; ".join(provenance.warnings),
    }
    return {name: value for name, value in rows.items() if value}
