"""Sentences to token ids, by the tokenizer that lies in a published model's own directory.

tokenizer.json holds the vocabulary, the splitting and the framing by start and end tokens, and the
`tokenizers` library runs it. What a model was trained with besides stands in no file, so it is stated here
by the tokenizer's class: SigLIP's sentences are lower-cased and stripped of punctuation (Zhai et al. 2023,
as big_vision canonicalises prompts), SigLIP 2's are lower-cased (Tschannen et al. 2025, section 2.1), which
the Gemma tokenizer that its directories name does not do.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import map_file, quoted, read_json

LARGEST_TOKENIZER = 100_000_000  # bytes; Gemma's, the largest in use here, has 34 million

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def unchanged(sentence: str) -> str:
    """CLIP's tokenizer.json does all that is to be done."""
    return sentence


def canonical(sentence: str) -> str:
    """Lower case, no ASCII punctuation, single spaces."""
    return " ".join(sentence.lower().translate(_NO_PUNCTUATION).split())


# `tokenizer_class` of tokenizer_config.json, and what is done before tokenizer.json.
PREPARATIONS: dict[str, Callable[[str], str]] = {
    "CLIPTokenizer": unchanged,
    "CLIPTokenizerFast": unchanged,
    "SiglipTokenizer": canonical,
    "GemmaTokenizer": str.lower,
    "GemmaTokenizerFast": str.lower,
    "Siglip2Tokenizer": str.lower,
}


@dataclass(frozen=True)
class Tokenizer:
    """A published tokenizer and the length that its tower was trained with.

    Attributes:
        context: N, ids of every sentence.
        vocabulary: its largest id + 1.
        end_token: id of the last token before the padding.
        pad_token: id of the padding.
        prepare: what is done to a sentence before `library`.
        library: tokenizer.json, set to cut and to pad to `context`.
    """

    context: int
    vocabulary: int
    end_token: int
    pad_token: int
    prepare: Callable[[str], str]
    library: tokenizers.Tokenizer

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Makes ids of sentences, as the tower was trained on them.

        Args:
            sentences: B sentences in any script; one may be empty, and long ones are cut.

        Returns:
            int32 `[B, N]`; the end token is kept where a sentence is cut.

        Raises:
            ValueError: a sentence that is no text: half of a surrogate pair.
        """
        for sentence in sentences:
            try:
                sentence.encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"sentence {quoted(sentence)}: not Unicode text ({error.reason})"
                ) from error
        encoded = self.library.encode_batch([self.prepare(sentence) for sentence in sentences])
        return np.array([row.ids for row in encoded], np.int32).reshape(-1, self.context)


def load_tokenizer(directory: Path, context: int) -> Tokenizer:
    """Reads tokenizer.json, tokenizer_config.json and, where it is there, special_tokens_map.json.

    Args:
        directory: of a model of Hugging Face's layout.
        context: length that the tower was trained with, `TextConfig.context`.

    Raises:
        WeightsError: a file that is missing, too large, damaged, or of a tokenizer that is not known here.
    """
    library = _library(directory / "tokenizer.json")
    path = directory / "tokenizer_config.json"
    settings = read_json(path)
    kind = settings.get("tokenizer_class")
    if not isinstance(kind, str) or kind not in PREPARATIONS:
        raise WeightsError(
            f"{path}: tokenizer_class={quoted(kind)}: expected one of {[*PREPARATIONS]}"
        )
    special = directory / "special_tokens_map.json"
    if special.exists():
        settings = read_json(special) | {k: v for k, v in settings.items() if v is not None}
    end, end_token = _special_token(library, settings, "eos_token", path)
    pad, pad_token = _special_token(library, settings, "pad_token", path)
    frame = library.encode("").ids
    if frame[-1:] != [end_token]:
        raise WeightsError(
            f"{directory / 'tokenizer.json'}: ends sentences without {quoted(end)}, which {path.name} "
            "names as the end token"
        )
    if len(frame) > context:
        raise WeightsError(
            f"{directory / 'tokenizer.json'}: frames sentences by {len(frame)} tokens: expected no more "
            f"than the tower's context of {context}"
        )
    library.enable_truncation(context)
    library.enable_padding(length=context, pad_id=pad_token, pad_token=pad)
    return Tokenizer(
        context=context,
        vocabulary=1 + max(library.get_vocab().values()),
        end_token=end_token,
        pad_token=pad_token,
        prepare=PREPARATIONS[kind],
        library=library,
    )


def _library(path: Path) -> tokenizers.Tokenizer:
    content = map_file(path)
    if len(content) > LARGEST_TOKENIZER:
        raise WeightsError(f"{path}: {len(content)} bytes, at most {LARGEST_TOKENIZER} are read")
    try:
        library = tokenizers.Tokenizer.from_buffer(bytes(content))
        # Without the padding that some files set, the empty sentence shows the framing alone.
        library.no_padding()
        library.encode("")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # some damage makes the library panic, which is no Exception
        raise WeightsError(f"{path}: not a whole tokenizer ({quoted(str(error))})") from error
    return library


def _special_token(
    library: tokenizers.Tokenizer, settings: Mapping[str, Any], name: str, path: Path
) -> tuple[str, int]:
    """Text and id of a special token, whose text the files keep bare or with its properties."""
    stored = settings.get(name)
    text = stored.get("content") if isinstance(stored, dict) else stored
    number = library.token_to_id(text) if isinstance(text, str) else None
    if not isinstance(text, str) or number is None:
        raise WeightsError(f"{path}: {name}={quoted(text)}: expected a token of tokenizer.json")
    return text, number
