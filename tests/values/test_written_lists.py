"""Claims about lists that stand in text: they are read as the list, or refused, and never written as one value."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind
from airflow_provider_crm.values.written_lists import is_written_list, read_list

TAGS = Field("custom.cf_tags", "custom.cf_tags", multiple=True)
SCORES = Field("custom.cf_scores", "custom.cf_scores", Kind.NUMBER, multiple=True)
ADD = Field("custom.cf_tags.add", "custom.cf_tags.add", clearable=False, partial=True)
NOTES = Field("notes", "note")
RULES = ValueRules()
properties = settings(deadline=None, derandomize=True)


def postgres_text(items: list[str | None]) -> str:
    """Return an array as PostgreSQL's `array_out` writes it."""

    def written(item: str | None) -> str:
        if item is None:
            return "NULL"
        if item and item.upper() != "NULL" and not any(char in '{},"\\' or char in " \t\n\r\v\f" for char in item):
            return item
        return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(written, items)) + "}"


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("{}", ()),
        ("{a}", ("a",)),
        ("{a,b}", ("a", "b")),
        (' {a,"b c"}\n', ("a", "b c")),
        ('{"a,b","say \\"hi\\"","back\\\\slash","{x}"}', ("a,b", 'say "hi"', "back\\slash", "{x}")),
        ('{"NULL","null "}', ("NULL", "null ")),
        ("{Zo\u00eb,\u65e5\u672c}", ("Zo\u00eb", "\u65e5\u672c")),
        ("{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", ("6ba7b810-9dad-11d1-80b4-00c04fd430c8",)),
        ("[0:1]={a,b}", ("a", "b")),
        ("[]", ()),
        ('["a","b"]', ("a", "b")),
        ('[\n  "a",\n  "b\\u00e9"\n]', ("a", "b\u00e9")),
        ("[1,2]", ("1", "2")),
        ("a", ("a",)),
        ("a,b", ("a,b",)),
        ("[VIP] customer", ("[VIP] customer",)),
        ("(other)", ("(other)",)),
        ('"a"', ('"a"',)),
    ],
)
def test_a_written_list_is_read(text: str, items: tuple[str, ...]) -> None:
    """PostgreSQL's arrays with all their quoting, and JSON, fill the field as a list; other text is one value."""
    assert RULES.value(TAGS, text) == items


@pytest.mark.parametrize("text", ["{0.5,2}", "[0.5, 2]", "[\n 0.5,\n 2.0\n]", '["0.5", "2"]', '{"0.5",2}'])
def test_numbers_of_a_written_list_are_exact(text: str) -> None:
    """Numbers of either form reach a field of numbers as they stand."""
    assert RULES.value(SCORES, text) == (Decimal("0.5"), Decimal(2))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{a,NULL}", "NULL"),
        ('["a", null]', "NULL"),
        ("{{a,b},{c,d}}", "LIST"),
        ('[["a"], ["b"]]', "LIST"),
        ('[{"name": "a"}]', "LIST"),
        ('{"a": 1}', "LIST"),
        ("['a', 'b']", "LIST"),
        ("{'a', 'b'}", "LIST"),
        ("{'a','b'}", "LIST"),
        ("('a', 'b')", "LIST"),
        ("(a,b)", "LIST"),
        ("['a' 'b']", "LIST"),
        ("array(['a', 'b'], dtype=object)", "LIST"),
        ("frozenset({'a'})", "LIST"),
        ("[a, b]", "LIST"),
        ("[VIP]", "LIST"),
        ("{a, b}", "LIST"),
        ("{a,}", "LIST"),
        ("{,}", "LIST"),
        ('{"a"b}', "LIST"),
        ('{"a}', "LIST"),
        ('{"a\\"}', "LIST"),
        ("[NaN]", "LIST"),
        ("[" * 100_000 + "]" * 100_000, "LIST"),
        ("[true]", "BOOLEAN"),
    ],
    ids=lambda text: text[:30],
)
def test_what_looks_like_a_list_is_never_one_value(text: str, code: str) -> None:
    """Nulls, lists of lists, objects and what Python, numpy or Spark print are refused with what to write instead."""
    with pytest.raises(InvalidValueError) as caught:
        RULES.value(TAGS, text)
    assert caught.value.code == code
    if code == "LIST" and not text.startswith(("[[", "[{")):
        assert "pass a list (in SQL an array or JSON), or, if it is one value, a list of one" in str(caught.value)


def test_one_value_in_brackets_is_written_as_a_list_of_one() -> None:
    """The way out of the refusal: items of a list are taken as they stand."""
    assert RULES.value(TAGS, ["[VIP]", "{a,b}"]) == ("[VIP]", "{a,b}")
    assert RULES.value(TAGS, '["[VIP]"]') == ("[VIP]",)


@pytest.mark.parametrize("text", ["{a,b}", '["a"]', "{a}", "('a',)", "[0:1]={a,b}"])
def test_one_value_of_a_list_is_no_list(text: str) -> None:
    """An item to add to a list or remove from it is one value; a field of one text takes the text as it stands."""
    for raw in (text, ["a"]):
        with pytest.raises(InvalidValueError) as caught:
            RULES.value(ADD, raw)
        assert caught.value.code == "LIST"
    assert RULES.values(ADD, [text]) is None
    assert RULES.value(ADD, "a") == "a"
    assert RULES.value(NOTES, text) == text
    assert RULES.values(NOTES, [text]) == [text]


ITEMS = st.text(st.sampled_from("ab{}[],\"\\'NUL \t\n\u00e9") | st.characters(exclude_categories=["Cs"]), max_size=6)


@properties
@given(items=st.lists(st.none() | ITEMS, max_size=5))
@example(items=["null", "NULL", None, "", "'a'x"])
@example(items=["\x1f", "a\u00a0b"])
def test_every_list_comes_back_from_its_text(items: list[str | None]) -> None:
    """A list that PostgreSQL or JSON wrote is read as that list, or refused where Python would print it so, too."""
    assert read_list(json.dumps(items)) == items
    assert read_list(json.dumps(items, indent=2, ensure_ascii=False)) == items
    text = postgres_text(items)
    try:
        assert read_list(text) == items
    except ValueError as err:
        assert str(err) == "as Python prints it"  # noqa: PT017
        assert any(item is not None and item[:1] == "'" == item[-1:] for item in items)


@properties
@given(text=st.text(st.sampled_from("{}[](),\"\\'a1 =:\n") | st.characters(), max_size=12))
def test_any_text_is_a_list_a_value_or_refused(text: str) -> None:
    """Reading any text gives items, or none for text that does not look like a list, or a ValueError."""
    try:
        items = read_list(text)
    except ValueError:
        assert is_written_list(text)
        return
    assert (items is not None) is is_written_list(text)
