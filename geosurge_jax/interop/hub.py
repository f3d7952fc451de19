"""Where a model comes from: a directory on disk, or Hugging Face's hub for those who have a network."""

from pathlib import Path

from huggingface_hub import snapshot_download

from geosurge_jax.interop.family import WeightsError

HUB = "hf:"
DESCRIPTIONS = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
)
# Of the two forms the safe one is taken where a model has it.
WEIGHTS = (("model*.safetensors", "model*.safetensors.index.json"), ("pytorch_model*.bin*",))


def model_directory(source: str, key: str) -> Path:
    """The directory of a model, downloaded before where need be.

    Args:
        source: a directory, or "hf:ORG/NAME" with an optional "@REVISION".
        key: the config key that says so, for messages.

    Returns:
        A directory with config.json and weights.

    Raises:
        WeightsError: it is not there and cannot be downloaded.
    """
    if not source.startswith(HUB):
        directory = Path(source)
        if not directory.is_dir():
            raise WeightsError(
                f"{key}={source!r}: no such directory; expected one with config.json and weights, or "
                f'"{HUB}ORG/NAME"'
            )
        return directory
    name, _, revision = source.removeprefix(HUB).partition("@")
    try:
        for weights in WEIGHTS:
            patterns = [*DESCRIPTIONS, *weights]
            found = Path(
                snapshot_download(name, revision=revision or None, allow_patterns=patterns)
            )
            if any(found.glob(weights[0])):
                return found
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{key}={source!r}: cannot be downloaded ({type(error).__name__}: {reason}); a directory "
            f"with the model's files does as well"
        ) from error
    raise WeightsError(f"{key}={source!r}: holds no model.safetensors and no pytorch_model.bin")
