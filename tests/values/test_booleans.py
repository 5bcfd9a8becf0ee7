"""Claims about fields that take a yes or no."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.opportunity import Field, Kind

from .fields import DATE, DATETIME, FLAG, INTEGER, MONEY, NUMBER, RULES, TEXT, properties, refusal

WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Answer(enum.StrEnum):
    """A word of another class."""

    YES = "yes"


@pytest.mark.parametrize("raw", [True, 1, "true", "TRUE", " Yes\n", "1", "\tyEs", Answer.YES])
def test_what_is_true(raw: object) -> None:
    """Booleans, the number 1 and the words for it, in any case and trimmed, become True itself."""
    assert RULES.value(FLAG, raw) is True


@pytest.mark.parametrize("raw", [False, 0, "false", "False", " NO ", "0"])
def test_what_is_false(raw: object) -> None:
    """Booleans, the number 0 and the words for it, in any case and trimmed, become False itself."""
    assert RULES.value(FLAG, raw) is False


@pytest.mark.parametrize(
    "raw",
    [
        *(2, -1, pytest.param(10**5000, id="5001 digits"), 1.0, 0.0, float("nan"), Decimal(1)),
        *(b"1", dt.date(2026, 3, 1), {}, object()),
        *("", "y", "n", "t", "f", "on", "off", "1.0", "01", "truefalse", "wahr", "\uff11"),
    ],
)
def test_nothing_else_is_a_boolean(raw: object) -> None:
    """Other numbers, other words, floats and bytes are refused with what may be written."""
    err = refusal(FLAG, raw)
    assert err.code == "NOT_A_BOOLEAN"
    assert str(err).startswith("custom.cf_b takes true or false, yes or no, 1 or 0; the row has ")


@properties
@given(st.text())
def test_a_word_is_one_of_six(word: str) -> None:
    """Any text but the six words is refused."""
    wanted = WORDS.get(word.strip().lower())
    if wanted is None:
        assert refusal(FLAG, word).code == "NOT_A_BOOLEAN"
    else:
        assert RULES.value(FLAG, word) is wanted


def test_lists_and_missing_values_are_as_for_other_fields() -> None:
    """None clears where the field can be cleared, and a list is refused."""
    assert RULES.value(FLAG, None) is None
    assert refusal(Field("flag", "flag", Kind.BOOLEAN, clearable=False), None).code == "NOT_CLEARABLE"
    assert refusal(FLAG, [True]).code == "LIST"


def test_a_personal_answer_stays_out_of_the_message() -> None:
    """The message says that there was a value, not which."""
    assert "secret" not in str(refusal(Field("flag", "flag", Kind.BOOLEAN, personal=True), "secret"))


@pytest.mark.parametrize("field", [TEXT, NUMBER, INTEGER, MONEY, DATE, DATETIME])
def test_other_fields_take_no_boolean(field: Field) -> None:
    """A boolean is no number and no text."""
    assert {refusal(field, raw).code for raw in (True, False)} == {"BOOLEAN"}


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        *((True, shown, True) for shown in (True, "true", "True", " TRUE ")),
        *((False, shown, True) for shown in (False, "false", "FALSE")),
        *((True, shown, False) for shown in (False, "false", None, "", 1, 1.0, "1", "yes", [], [True], {})),
        *((False, shown, False) for shown in (True, "true", None, "", 0, 0.0, "0", "no", [])),
        *((sent, shown, False) for sent in (0, 1, Decimal(0), Decimal(1)) for shown in (True, False)),
        *((None, shown, False) for shown in (False, True, "false")),
    ],
)
def test_a_boolean_equals_only_booleans_and_their_names(
    sent: bool | int | Decimal | None, shown: object, same: bool
) -> None:
    """A record may show `true` and `false` as text, in any case; numbers and nothing are other values."""
    assert same_value(sent, shown) is same
