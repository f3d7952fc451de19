"""Tiny tokenizers of the makes that published text towers have, and the ids that transformers gives.

The `tokenizers` trainers have learned them from a few sentences; each is written as a model's directory, with
expected.json beside it.
"""

import json
import re
import shutil
import string
from dataclasses import dataclass
from pathlib import Path

from tests.parity.oracle import FOLDER

CORPUS = [
    "a photo taken in Zürich, Switzerland, near the lake and the old town",
    "a street sign in São Paulo; palm trees, red soil and a bus stop",
    "東京 の 駅 前 の 写真, Tokyo station",
    "снег на улице в Новосибирске, snow on a street",
    "it's 25 km from the coast: we'll go there, they've been there",
    "desert road with a yellow line, mountains far away",
] * 3

SENTENCES = [
    "a photo taken in Zürich, Switzerland",
    "A PHOTO   of\tSão Paulo!\n",
    "  it's 25 km -- we'll go (there)  ",
    "",
    "   ",
    "?!... _",
    "日本 東京駅前の写真",
    "e\u0301tude, \u00e9tude, caf\u00e9, ﬁne",
    "🏔️ mountains 🚌🇧🇷 bus",
    "\u200bzero\u00a0width and non-breaking",
    "İstanbul STRASSE straße Σας",
    "yellow line on the road " * 30,
    "x" * 400,
]


@dataclass(frozen=True)
class TokenizerOracle:
    """A tokenizer's directory, and what transformers makes of the sentences.

    Attributes:
        name: of the directory.
        context: length that sentences are cut or padded to.
        files: content by file name.
        ids: of each of `SENTENCES`.
        source: library and version.
    """

    name: str
    context: int
    files: dict[str, str]
    ids: list[list[int]]
    source: str

    def write_directory(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (directory / name).write_text(content)
        return directory

    def freeze(self, folder: Path = FOLDER) -> Path:
        directory = folder / self.name
        shutil.rmtree(directory, ignore_errors=True)
        self.write_directory(directory)
        expected = {
            "source": self.source,
            "context": self.context,
            "sentences": SENTENCES,
            "ids": self.ids,
        }
        (directory / "expected.json").write_text(json.dumps(expected))
        return directory


def clip():
    """Byte-level BPE with CLIP's end-of-word suffix, its normaliser, its splitting and its frame."""
    from tokenizers import (
        Regex,
        Tokenizer,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    start, end = "<|startoftext|>", "<|endoftext|>"
    library = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=end))
    library.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    library.train_from_iterator(CORPUS + sorted(alphabet), trainer)
    stored = json.loads(library.to_str())
    vocabulary = stored["model"]["vocab"]
    # As in CLIP's vocabulary, every byte also stands as the end of a word, and the frame comes last.
    for token in [*(letter + "</w>" for letter in sorted(alphabet)), start, end]:
        vocabulary.setdefault(token, len(vocabulary))
    library = Tokenizer.from_str(json.dumps(stored))
    library.add_special_tokens([start, end])
    library.post_processor = processors.RobertaProcessing(
        sep=(end, vocabulary[end]),
        cls=(start, vocabulary[start]),
        add_prefix_space=False,
        trim_offsets=False,
    )
    return library


def unigram():
    """SigLIP's make: Unigram on words that begin with a low line, ended by </s>, which also pads."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    library = Tokenizer(models.Unigram())
    library.normalizer = normalizers.NFKC()
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=160,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    words = [line.lower().translate(str.maketrans("", "", string.punctuation)) for line in CORPUS]
    library.train_from_iterator(words, trainer)
    library.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return library


def gemma():
    """SigLIP 2's make: BPE over whole sentences with bytes to fall back on, <eos> at the end, <pad> 0."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    raw = [f"<0x{value:02X}>" for value in range(256)]
    library = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Replace(" ", "▁")
    library.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=[*special, *raw], show_progress=False, max_token_length=6
    )
    library.train_from_iterator([line.lower() for line in CORPUS], trainer)
    stored = json.loads(library.to_str())
    stored["added_tokens"] = [
        token for token in stored["added_tokens"] if token["id"] < len(special)
    ]
    library = Tokenizer.from_str(json.dumps(stored))
    library.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return library


def learned(name, train):
    """The frozen tokenizer and its file; learned anew where there is none: trainers break ties by chance."""
    from tokenizers import Tokenizer

    path = FOLDER / name / "tokenizer.json"
    text = path.read_text() if path.exists() else train().to_str()
    return Tokenizer.from_str(text), text


def canonical(sentence):
    """What transformers' SiglipTokenizer, which needs SentencePiece, does in Python, step by step."""
    kept = [letter for letter in sentence.lower() if letter not in string.punctuation]
    return re.sub(r"\s+", " ", "".join(kept)).strip()


def record(name, train, context, fast_class, before, tokenizer_class, special, in_map=()):
    """Ids by a class of transformers that reads the same tokenizer.json."""
    import tokenizers
    import transformers

    library, text = learned(name, train)
    settings = {"tokenizer_class": tokenizer_class, "model_max_length": context}
    settings |= {key: value for key, value in special.items() if key not in in_map}
    files = {
        "tokenizer.json": text,
        "tokenizer_config.json": json.dumps(settings),
    }
    if in_map:
        files["special_tokens_map.json"] = json.dumps(
            {key: {"content": special[key]} for key in in_map}
        )
    theirs = fast_class(tokenizer_object=library, **special)
    ids = theirs(
        [before(sentence) for sentence in SENTENCES],
        padding="max_length",
        truncation=True,
        max_length=context,
    )["input_ids"]
    versions = f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    return TokenizerOracle(name, context, files, ids, versions)


def tokenizer_oracles():
    """CLIP's, SigLIP's and SigLIP 2's make."""
    import transformers as t

    end = {"bos_token": "<|startoftext|>"} | dict.fromkeys(
        ("eos_token", "pad_token", "unk_token"), "<|endoftext|>"
    )
    return [
        record(
            "tokenizer_clip",
            clip,
            32,
            t.CLIPTokenizerFast,
            str,
            "CLIPTokenizer",
            end,
            ("pad_token",),
        ),
        record(
            "tokenizer_siglip",
            unigram,
            24,
            t.PreTrainedTokenizerFast,
            canonical,
            "SiglipTokenizer",
            {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"},
        ),
        record(
            "tokenizer_siglip2",
            gemma,
            24,
            t.PreTrainedTokenizerFast,
            str.lower,
            "GemmaTokenizer",
            {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
        ),
    ]


if __name__ == "__main__":
    for oracle in tokenizer_oracles():
        oracle.freeze()
