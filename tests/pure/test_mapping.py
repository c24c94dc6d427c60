"""What a trigger hook makes of the body of a call."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import Invalid
from tidings.model.targets import MOST, Targets
from tidings.model.webhooks import RowMapping
from tidings.webhooks.mapping import LONGEST_EXPRESSION, MOST_EXPRESSIONS, NO_JSON, NO_NAME, NO_ROW, TOO_MANY, TOO_MUCH, Mapped, check_mapping, map_body

BODY = {
    "entry": {"path": "docs/a.md", "url": "https://a.example/a", "id": 7},
    "entries": [{"url": "https://a.example/b", "type": "page"}, {"url": "https://a.example/c", "type": "menu"}, {"url": "https://a.example/b"}],
    "nothing": None,
    "flag": True,
    "empty": "",
}


def mapped(body: Any, *keys: str, urls: tuple[str, ...] = ()) -> Mapped:
    mapping = RowMapping(keys, urls)
    check_mapping(mapping)
    assert RowMapping.unpacked(mapping.packed()) == mapping
    return map_body(mapping, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("keys", "urls", "targets"),
    [
        (("$.entry.path",), (), Targets(("docs/a.md",))),
        (("$.entry.id",), (), Targets(("7",))),
        (("$['entry']['path']", "$.missing"), ("$.entries[*].url",), Targets(("docs/a.md",), ("https://a.example/b", "https://a.example/c"))),
        ((), ("$.entries[?@.type == 'page'].url",), Targets((), ("https://a.example/b",))),
        ((), ("$..url",), Targets((), ("https://a.example/a", "https://a.example/b", "https://a.example/c"))),
        (("$.entries[-1:].url",), (), Targets(("https://a.example/b",))),
    ],
)
def test_rows_are_found(keys: tuple[str, ...], urls: tuple[str, ...], targets: Targets) -> None:
    assert mapped(BODY, *keys, urls=urls).targets == targets


@pytest.mark.parametrize(
    ("body", "expression", "sentence"),
    [
        (b"", "$.a", NO_JSON),
        (b"payload=%7B%7D", "$.a", NO_JSON),
        (b"\xff\xfe\xff", "$.a", NO_JSON),
        (b"[" * 100_000, "$.a", NO_JSON),
        (b"1" * 10_000, "$.a", NO_JSON),
        (BODY, "$.missing", NO_ROW),
        (b'"just text"', "$.a", NO_ROW),
        (BODY, "$.nothing", NO_NAME),
        (BODY, "$.flag", NO_NAME),
        (BODY, "$.entry", NO_NAME),
        (BODY, "$.empty", NO_NAME),
        (["a", None], "$[*]", NO_NAME),
        (["a" * 3_000], "$[*]", NO_NAME),
        (["a\0b"], "$[*]", NO_NAME),
        (["a\ud800"], "$[*]", NO_NAME),
        (["a" * 2_048] * 2 + [f"{n}{'a' * 2_000}" for n in range(50)], "$[*]", TOO_MANY),
        ([str(n) for n in range(MOST + 1)], "$[*]", TOO_MANY),
        ([str(n) for n in range(100_000)], "$[*]", TOO_MUCH),
        ([{"a": "b"}] * 50_000, "$[?@.a == 'c']", TOO_MUCH),
        ([{"a": "b"}] * 50_000, "$..[?@.a]", TOO_MUCH),
        ({"k" * 500_000: [1] * 50_000}, "$.*[*]", TOO_MUCH),
    ],
)
def test_what_is_no_name_means_the_whole_source(body: Any, expression: str, sentence: str) -> None:
    assert mapped(body, expression) == Mapped(None, sentence)


def test_deep_bodies_end_the_search() -> None:
    body: Any = "x"
    for _ in range(300):
        body = {"a": body}
    assert mapped(body, "$..b") == Mapped(None, TOO_MUCH)


def test_the_sentence_names_some_rows() -> None:
    names = [f"row {n}" for n in range(random.randrange(5, 50))]
    assert mapped(names, "$[*]").sentence == f"{len(names)} rows: row 0, row 1, row 2 and {len(names) - 3} more."
    assert mapped(["a" * 500], "$[*]").sentence == f"1 row: {'a' * 100}."


@pytest.mark.parametrize(
    ("mapping", "fields"),
    [
        (RowMapping(), ["mapping"]),
        (RowMapping(("$.a",) * MOST_EXPRESSIONS, ("$.a",)), ["mapping"]),
        (
            RowMapping(("$.a", "entry.path", "$.a | $.b"), ("$[?match(@.a, 'b')]", "$[?search(@.a, $.b)]")),
            [f"mapping.{at}" for at in ("keys.1", "keys.2", "urls.0", "urls.1")],
        ),
        (RowMapping(("$." + "a" * LONGEST_EXPRESSION,)), ["mapping.keys.0"]),
        (RowMapping(("$[?@..a]", "$[?@.*]", "$[?count(@.*) > 1]", "$.a[?!(@.b == 1 || $..c)]")), [f"mapping.keys.{n}" for n in range(4)]),
        (RowMapping(("$[?" + "(" * 100 + "@.a" + ")" * 100 + "]",)), []),
    ],
)
def test_what_is_no_mapping_is_refused(mapping: RowMapping, fields: list[str]) -> None:
    if not fields:
        check_mapping(mapping)
        return
    with pytest.raises(Invalid) as refused:
        check_mapping(mapping)
    assert [problem.field for problem in refused.value.errors] == fields


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
)


@given(JSON, st.sampled_from(["$", "$..*", "$.*", "$[*].a", "$..a", "$[?@.a]", "$[0]", "$[::2]"]))
def test_any_body_gets_an_answer(body: Any, expression: str) -> None:
    found = mapped(body, expression)
    assert found.sentence
    assert found.targets is None or found.targets.fit()
