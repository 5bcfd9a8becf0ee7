"""Hidden values are removed from a vendor's text in every form in which it repeats them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.values.hidden_values import HIDDEN, hidden_keys, sent_values, with_hidden, without_values
from airflow_provider_crm.values.opportunity import Field

LETTERS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("+49 170 0000042", "phone '+49 170 0000042' is invalid.", "phone '(hidden)' is invalid."),
        ("Jane Q. Public", "name JANE Q. PUBLIC is taken", "name (hidden) is taken"),
        ("Jane\nQ. Public", "name Jane Q. Public is taken", "name (hidden) is taken"),
        ("a long note that was cut", "note: a long note tha (too long)", "note: (hidden) (too long)"),
        ('say "hi" to Jane', 'got "say \\"hi\\" to Jane"', 'got "(hidden)"'),
        ("won", "stage won cannot follow; wonder why", "stage (hidden) cannot follow; wonder why"),
        (123456.78, "value 123,456.78 is over 100,000", "value (hidden) is over 100,000"),
        (4200, "42.00 is too little", "(hidden) is too little"),
        ("42", "confidence 42 of 100", "confidence (hidden) of 100"),
        (["first choice", "second choice"], "second choice is unknown", "(hidden) is unknown"),
        (None, "null is not allowed", "null is not allowed"),
        (True, "True is no number", "True is no number"),
    ],
)
def test_what_is_repeated_of_a_value_is_hidden(value, text, shown):
    """In another case, cut, as JSON, with separators, in cents; other words and numbers stay."""
    assert without_values(text, [value]) == shown


@given(LETTERS, LETTERS, LETTERS)
def test_a_value_that_is_quoted_is_never_left(value, before, after):
    """No text around a quoted value keeps any piece of it together."""
    shown = without_values(f"{before} '{value}' {after}", [value])
    assert HIDDEN in shown or value not in shown
    assert f"'{value}'" not in shown or value in HIDDEN


def test_a_field_is_hidden_under_all_of_its_names():
    """Whichever name the setting uses, canonical or the vendor's own, and where a part of a list is written."""
    fields = {field.name: field for field in (Field("notes", "note"), Field("note", "note"), Field("stage", "status"))}
    fields["custom.cf_a.add"] = Field("custom.cf_a.add", "custom.cf_a.add", partial=True)
    for name in ("notes", "note"):
        hidden = with_hidden(fields, frozenset({name, "custom.cf_a"}))
        assert {one for one, field in hidden.items() if field.personal} == {"notes", "note", "custom.cf_a.add"}


def test_every_key_of_a_hidden_field_is_hidden():
    """What a personal field writes beside its own key would say as much as its value."""
    field = Field("stage", "stage_id", also_writes=("pipeline",), personal=True)
    assert hidden_keys({"stage": field, "notes": Field("notes", "note")}) == {"stage_id", "pipeline"}


def test_only_the_values_of_hidden_keys_are_looked_for():
    """The other values of a call may be repeated."""
    assert sent_values('{"email": "a@b.c", "value": 5}', frozenset({"email"})) == ("a@b.c",)
    assert sent_values(None, frozenset({"email"})) == sent_values("[1]", frozenset({"email"})) == ()
