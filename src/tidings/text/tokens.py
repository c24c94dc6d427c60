"""Storage tokens: counted with the o200k_base encoding, exactly, from a vocabulary that ships with the package."""

import gzip
import hashlib
from binascii import a2b_base64
from functools import cache
from importlib.resources import files
from types import FunctionType

from tiktoken import Encoding
from tiktoken_ext import openai_public


def count_tokens(text: str) -> int:
    """The number of o200k_base tokens of a text; the names of special tokens in it count as the ordinary text that they are."""
    return len(load_encoding().encode_ordinary(text))


@cache
def load_encoding() -> Encoding:
    """The encoding, read from the package: no network, no cache directory, no environment. Takes about 0.2 s, once."""
    # tiktoken's own definition (pattern, special tokens, expected hash of the vocabulary) is run as it is, with a loader that reads our
    # file in the place of the one that downloads; the module itself stays untouched.
    define = FunctionType(openai_public.o200k_base.__code__, {**vars(openai_public), "load_tiktoken_bpe": _read_ranks})
    encoding = Encoding(**define())
    # The table has been copied into the encoder; Python's copy is needed for pickling only, and is 27 MB in every process.
    encoding._mergeable_ranks = {}  # noqa: SLF001
    return encoding


def _read_ranks(_address: str, expected_hash: str) -> dict[bytes, int]:
    """The ranks of all byte strings of the vocabulary, after checking the file's sha256."""
    raw = gzip.decompress(files("tidings.text").joinpath("data/o200k_base.tiktoken.gz").read_bytes())
    if hashlib.sha256(raw).hexdigest() != expected_hash:
        raise RuntimeError("The token vocabulary in this installation of Tidings is damaged: install the package again.")
    words = raw.split()
    return dict(zip(map(a2b_base64, words[::2]), map(int, words[1::2]), strict=True))
