"""Files of a model: a folder on disk, or Hugging Face's hub for those who have a network."""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class HubOptions:
    """How files of the hub are fetched.

    Attributes:
        revision: branch, tag or commit, where the name itself gives none; None for the default branch.
        cache_dir: where downloads are kept; None for huggingface_hub's own cache.
        local_files_only: whether only files that were downloaded earlier are used.
    """

    revision: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False


def model_directory(source: str, key: str, options: HubOptions | None = None) -> Path:
    """Returns the directory of a model with config.json and weights; downloads it where its name says so.

    Args:
        source: a directory, or "hf:ORG/NAME" with an optional "@REVISION".
        key: config key, flag or argument that names the source, for messages.
        options: how files of the hub are fetched.

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
    for weights in WEIGHTS:
        found = download(source, [*DESCRIPTIONS, *weights], key, options)
        if any(found.glob(weights[0])):
            return found
    raise WeightsError(f"{key}={source!r}: holds no model.safetensors and no pytorch_model.bin")


def download(
    source: str, patterns: Sequence[str], key: str, options: HubOptions | None = None
) -> Path:
    """Downloads files of a model into the cache and returns their folder.

    Args:
        source: "hf:ORG/NAME" with an optional "@REVISION".
        patterns: names of the files, with `*`.
        key: config key, flag or argument that names the source, for messages.
        options: how files are fetched.

    Raises:
        WeightsError: they cannot be downloaded and are not in the cache; one line that says which files to
            fetch and where to put them.
    """
    options = options or HubOptions()
    name, _, revision = source.removeprefix(HUB).partition("@")
    revision = revision or options.revision
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=options.cache_dir,
                local_files_only=options.local_files_only,
                allow_patterns=[*patterns],
            )
        )
    except Exception as error:  # of the hub's client, of its HTTP library, or of the disk
        reason = " ".join(str(error).split())[:100]
        of_revision = f" at revision {revision}" if revision else ""
        raise WeightsError(
            f"{key}={source!r}: cannot be downloaded ({type(error).__name__}: {reason}); without a network, "
            f"fetch {', '.join(patterns)} of {name}{of_revision} elsewhere, put them into one folder and "
            f"give that folder instead of {HUB}{name}"
        ) from error
