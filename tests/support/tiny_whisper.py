"""A Whisper model of two layers that reads a script: what a real one's loading and decoding can be tested with.

No trained model is at hand in a test, and random weights say nonsense. These weights are chosen: each layer adds
nothing, and the decoder's position encodings point at the embedding of the token that is to come next. So the model
says its words to whatever it hears, and everything around it (files, tokenizer, features, encoder, beam search,
rules for timestamps, alignment) is the library's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import model_spec, whisper_spec

WORDS = ("the", "clouds", "come", "from", "the", "sea", "and", "bring", "rain")
"What the model says."

_DEPTH = 64
_MEL_BINS = 80
_MARK_OF_MULTILINGUAL = ""
"The token by which CTranslate2 tells that a model is one."
_LANGUAGES = ("en", "de", "he", "id", "jw", "no", "ro", "tl", "yi", "zh")
_STEPS_OF_20_MS = 1501
_POSITIONS = 448

Array = npt.NDArray[np.float32]


def make_model(folder: Path, *, seconds: float = 2.0, multilingual: bool = False) -> Path:
    """Write the model to *folder* and return it. It says `WORDS`, up to *seconds*, to whatever it hears."""
    tokens = _tokens(multilingual)
    ids = {token: number for number, token in enumerate(tokens)}
    random = np.random.default_rng(1)
    embeddings = np.zeros((len(tokens), _DEPTH), np.float32)
    script = [f"<|{0:.2f}|>", *(f"Ġ{word}" for word in WORDS), f"<|{seconds:.2f}|>", "<|endoftext|>"]
    for token in script:
        embeddings[ids[token]] = random.standard_normal(_DEPTH)
    positions = np.zeros((_POSITIONS, _DEPTH), np.float32)
    # The last token of the prompt is the one whose position says the first of the script.
    begin = 2 if multilingual else 0
    for at in range(begin, _POSITIONS):
        positions[at] = 8 * embeddings[ids[script[min(at - begin, len(script) - 1)]]]
    folder.mkdir(parents=True, exist_ok=True)
    spec = _spec(embeddings, positions, random)
    spec.register_vocabulary(tokens)
    spec.config.alignment_heads = [[0, 0]]
    spec.config.lang_ids = [ids[f"<|{code}|>"] for code in _LANGUAGES] if multilingual else []
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.validate()
    spec.save(str(folder))
    _write(folder / "preprocessor_config.json", {"feature_size": _MEL_BINS, "sampling_rate": 16000})
    _write_tokenizer(folder / "tokenizer.json", ids)
    return folder


def _tokens(multilingual: bool) -> list[str]:
    text = ["Ġunknown", *dict.fromkeys(f"Ġ{word}" for word in WORDS)]
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{code}|>" for code in _LANGUAGES] if multilingual else []
    special += [f"<|{task}|>" for task in ("translate", "transcribe", "startoflm", "startofprev", "nospeech")]
    special += ["<|notimestamps|>", *(f"<|{step * 0.02:.2f}|>" for step in range(_STEPS_OF_20_MS))]
    return [*text, *([_MARK_OF_MULTILINGUAL] if multilingual else []), *special]


def _spec(embeddings: Array, positions: Array, random: np.random.Generator) -> whisper_spec.WhisperSpec:
    spec = whisper_spec.WhisperSpec(1, 2, 1, 2)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (_DEPTH, _MEL_BINS, 3),
        "conv2/weight": (_DEPTH, _DEPTH, 3),
        "encoder/position_encodings/encodings": (1500, _DEPTH),
        "self_attention/linear_0/weight": (3 * _DEPTH, _DEPTH),
        "decoder/layer_0/attention/linear_0/weight": (_DEPTH, _DEPTH),
        "decoder/layer_0/attention/linear_1/weight": (2 * _DEPTH, _DEPTH),
        "/attention/linear_2/weight": (_DEPTH, _DEPTH),
        "self_attention/linear_1/weight": (_DEPTH, _DEPTH),
        "ffn/linear_0/weight": (4 * _DEPTH, _DEPTH),
        "ffn/linear_1/weight": (_DEPTH, 4 * _DEPTH),
        "norm/gamma": (_DEPTH,),
        "norm/beta": (_DEPTH,),
    }
    told = {
        "decoder/embeddings/weight": embeddings,
        "decoder/projection/weight": embeddings,
        "decoder/position_encodings/encodings": positions,
    }
    # What a layer adds to what passes it by comes out of these: zeros.
    silent = ("self_attention/linear_1/weight", "/attention/linear_2/weight", "ffn/linear_1/weight")

    def fill(layer: Any, name: str, value: Any) -> None:
        if name in told:
            setattr(layer, name.rpartition("/")[2], told[name])
            return
        for suffix, shape in shapes.items():
            if name.endswith(suffix):
                weights = 0.2 * random.standard_normal(shape)
                if suffix == "norm/gamma":
                    weights = np.ones(shape)
                elif suffix in silent or suffix == "norm/beta":
                    weights = np.zeros(shape)
                setattr(layer, name.rpartition("/")[2], weights.astype(np.float32))
                return

    model_spec.visit_spec(spec, fill)
    return spec


def _write_tokenizer(path: Path, ids: dict[str, int]) -> None:
    """Words with the space before them, as byte-level tokenizers write it."""
    special = [token for token in ids if token.startswith("<|") and token.count(".") == 0]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    _write(
        path,
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": ids[token], "content": token, **flags} for token in special],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "WordLevel", "vocab": ids, "unk_token": "Ġunknown"},
        },
    )


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
