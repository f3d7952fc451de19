"""What has to be known of each published architecture to read and write its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.interop.weight_map import Entry


class WeightsError(ValueError):
    """Weights that are not what they should be; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Family:
    """An architecture as Hugging Face lays it out on disk.

    Attributes:
        name: `kind` of our config.
        model_types: values of `model_type` in config.json under which its tensors are found.
        prefixes: what their tensors' names may begin with; the one with which most are there is taken, and
            the first one when files are written.
        read: `(config.json, preprocessor_config.json or None) -> our config of the part`, with everything
            that the files decide and defaults for how it is trained; raises WeightsError for a variant that
            is not supported, naming the entry and its value.
        entries: `our config -> map`; paths relative to the part.
        ignored: patterns of tensors, prefix included, that belong to other parts of a model or are no
            parameters, and may be in the file.
        write: `our config -> (config.json, preprocessor_config.json or None)`, for files that transformers
            reads.
    """

    name: str
    model_types: tuple[str, ...]
    prefixes: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Mapping[str, Any] | None], Any]
    entries: Callable[[Any], tuple[Entry, ...]]
    ignored: tuple[str, ...]
    write: Callable[[Any], tuple[dict[str, Any], dict[str, Any] | None]]
