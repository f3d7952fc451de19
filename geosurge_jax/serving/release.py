"""A trained model as a folder for the hub, and its upload on explicit request."""

import dataclasses
import shutil
import tempfile
from pathlib import Path

import jax
from huggingface_hub import HfApi

from geosurge_jax.experiment.export import on_host, put_in_place
from geosurge_jax.experiment.exported import write_exported
from geosurge_jax.experiment.run_record import code_versions
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.serving.model_card import model_card

CARD, SCORES = "README.md", "scores.json"


def push_to_hub(
    model: TrainedModel,
    name: str,
    *,
    folder: Path,
    license_name: str,
    upload: bool = False,
    private: bool = True,
    token: str | None = None,
) -> Path:
    """Writes a release folder with a model card, and uploads it only where that is asked for.

    The folder opens by `Predictor.from_pretrained(folder)`, and after the upload by "hf:ORG/NAME". Look
    through the card before uploading.

    Args:
        model: what is released.
        name: "ORG/NAME" on the hub.
        folder: where the release is written; must not exist. It appears whole or not at all.
        license_name: SPDX identifier of the weights' license.
        upload: whether to upload the folder.
        private: whether a repository that is made for it is private.
        token: of the hub; None for the one that huggingface_hub finds.

    Returns:
        The folder.

    Raises:
        ValueError: the name or the folder is not what it should be; one line.
        WeightsError: the upload failed; the folder is there.
    """
    if name.count("/") != 1 or not all(name.split("/")):
        raise ValueError(f"name={name!r}: expected ORG/NAME")
    if folder.exists():
        raise ValueError(f"folder={str(folder)!r}: exists already; expected a new one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scores = Path(model.provenance.source) / SCORES
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as unfinished:
        written = Path(unfinished) / folder.name
        written.mkdir()
        with jax.set_mesh(model.mesh):
            prepared = on_host(model.precompute(model.params))
            params = on_host(model.params)
        metadata = {"system": model.system.name, **code_versions()}
        provenance = dataclasses.replace(model.provenance, license=license_name)
        released = dataclasses.replace(model, provenance=provenance)
        write_exported(written, released, params, prepared, metadata, {})
        measured = scores if scores.is_file() else None
        if measured is not None:
            shutil.copyfile(measured, written / SCORES)
        card = model_card(model, name, license_name, measured)
        (written / CARD).write_text(card, encoding="utf-8")
        put_in_place(written, folder)
    if upload:
        _upload(folder, name, private, token)
    return folder


def _upload(folder: Path, name: str, private: bool, token: str | None) -> None:
    try:
        api = HfApi(token=token)
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder)
    except Exception as error:  # of the hub's client, or of its HTTP library
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"name={name!r}: could not be uploaded ({type(error).__name__}: {reason}); the release is "
            f"in {folder}"
        ) from error
