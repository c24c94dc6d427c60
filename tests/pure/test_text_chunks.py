"""Chunks keep every word, count exactly, and know under which headings they stand."""

import gzip
import random
from collections import Counter
from importlib.resources import files

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.text.chunk import CHARACTERS, STRETCH, make_documents
from tidings.text.headings import find_headings, heading_paths
from tidings.text.tokens import count_tokens, load_encoding

WORDS = st.sampled_from(["river", "Ürün", "日本語", "x-ray", "#", "##", "```", "- item", "|a|b|", "<|endoftext|>", "emoji 🎉", "a_b", "1,000"])
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=30).map(" ".join), max_size=60).map("\n\n".join)


@given(LINES)
@settings(max_examples=60)
def test_chunks_are_parts_of_the_text_and_no_word_is_lost(text: str) -> None:
    documents = make_documents(text, markdown=True)
    assert Counter("".join(document.text for document in documents).replace(" ", "").replace("\n", "")) == Counter(text.replace(" ", "").replace("\n", ""))
    for document in documents:
        assert document.text in text
        assert len(document.text) <= CHARACTERS[1]
        assert document.tokens == len(load_encoding().encode_ordinary(document.text))


@given(st.text(max_size=500))
def test_counts_are_those_of_the_encoding(text: str) -> None:
    tokens = load_encoding().encode_ordinary(text)
    assert count_tokens(text) == len(tokens)
    assert load_encoding().decode_bytes(tokens) == text.encode("utf-8", "replace")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> tiktoken.Encoding:
    """o200k_base as tiktoken loads it by itself, from a cache that holds the vocabulary; it checks its sha256 too."""
    cache = tmp_path_factory.mktemp("cache")
    packed = files("tidings.text").joinpath("data/o200k_base.tiktoken.gz").read_bytes()
    (cache / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(gzip.decompress(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
        return tiktoken.get_encoding("o200k_base")


def test_the_encoding_is_o200k_base_as_tiktoken_loads_it(judge: tiktoken.Encoding) -> None:
    ours = load_encoding()
    assert (ours.name, ours.n_vocab, ours.special_tokens_set) == (judge.name, judge.n_vocab, judge.special_tokens_set)
    assert ours.encode_ordinary("Hello, world!") == [13225, 11, 2375, 0]

    @given(st.text(max_size=300))
    def same(text: str) -> None:
        assert ours.encode_ordinary(text) == judge.encode_ordinary(text)

    same()


def test_names_of_special_tokens_are_ordinary_text() -> None:
    assert count_tokens("<|endoftext|>") > 1
    assert count_tokens("a <|endofprompt|> b") > 3


def test_a_long_text_is_cut_to_about_400_tokens() -> None:
    words = ["river", "stone", "garden", "letter", "window", "market", "summer", "bridge"]
    text = "\n\n".join(" ".join(random.choices(words, k=60)) + "." for _ in range(200))
    tokens = [document.tokens for document in make_documents(text, markdown=True)]
    assert 150 < sum(tokens) / len(tokens) < 500


def test_a_text_in_many_stretches_loses_nothing_and_keeps_its_headings() -> None:
    sections = [
        f"## Section {number}\n\n" + "\n\n".join(f"Paragraph {random.random()} of it, with words." for _ in range(random.randint(60, 400)))
        for number in range(60)
    ]
    sections[30] = sections[30] + "\n\n" + "x" * (3 * STRETCH)
    text = "\n\n".join(sections)
    documents = make_documents(text, markdown=True)
    assert "".join("".join(document.text.split()) for document in documents) == "".join(text.split())
    for document in documents:
        if document.text.startswith("## Section"):
            assert document.heading == document.text.partition("\n")[0].removeprefix("## ")
    assert {document.heading for document in documents} == {f"Section {number}" for number in range(60)}


def test_lines_without_a_border_are_cut_all_the_same() -> None:
    for letters in ("a" * 20_000, "日" * 20_000, " " * 20_000, "word " * 4_000, "#" * 20_000, "`" * 20_001, "=" * 20_000):
        documents = make_documents(letters, markdown=True)
        assert sum(len(document.text.replace(" ", "")) for document in documents) == len(letters.replace(" ", ""))


def test_each_chunk_stands_under_its_headings() -> None:
    filler = "Some words about it. " * 70
    text = f"""before

# Guide

## Install *now*

{filler}

### With `pip` {{#anchor}}

{filler}

```bash
# not a heading
## nor this
```

Use
===

{filler}

Details of [it](https://example.org)
------

{filler}
"""
    documents = make_documents(text, markdown=True)
    paths = {document.heading for document in documents}
    assert paths - {"Guide"} == {"", "Guide > Install now", "Guide > Install now > With pip {#anchor}", "Use", "Use > Details of it"}
    assert {document.heading for document in make_documents(text, markdown=False)} == {""}


def test_what_looks_like_a_heading_and_is_none() -> None:
    text = """~~~
# in a fence
```
# still in it
~~~
    # indented code
#hashtag
\\# escaped
- list
---
| a | b |
---
> quote
===

---
front: matter
``` inline ``` is no fence
# Real #
####### seven
"""
    assert [(heading.level, heading.title) for heading in find_headings(text)] == [(1, "Real")]


def test_a_fence_that_is_never_closed_lasts_to_the_end() -> None:
    assert [heading.title for heading in find_headings("# a\n````\n# b\n```\n# c\n")] == ["a"]


@given(st.text(alphabet="#=-`~ab \n\t>|", max_size=300))
def test_headings_are_found_in_order_and_inside_the_text(text: str) -> None:
    headings = list(find_headings(text))
    assert all(0 <= heading.start <= heading.end <= len(text) for heading in headings)
    assert [heading.start for heading in headings] == sorted(heading.start for heading in headings)
    assert len(list(heading_paths(text, headings, [(0, 0), (0, len(text))]))) == 2


def test_an_empty_text_has_no_documents() -> None:
    assert make_documents("", markdown=True) == ()
    assert make_documents(" \n\t\n", markdown=False) == ()
