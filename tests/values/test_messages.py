"""Claims about messages: they show a value shortened, and a personal one not at all."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.values.opportunity import Field, Kind

from .fields import MONEY, refusal


def test_the_message_shows_field_kind_and_value() -> None:
    """The message for a refused value has the field, what it takes, and the value shortened."""
    assert str(refusal(MONEY, "abc")) == "deal_value takes an amount of money, the row has 'abc'."
    assert len(str(refusal(MONEY, "x" * 1000))) < 130
    assert refusal(MONEY, "abc").field_errors.keys() == {"deal_value"}


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_personal_values_never_show(kind: Kind) -> None:
    """The value of a personal field of any kind is in no message and no attribute of its error."""
    field = Field("phone", "phone", kind, personal=True, choices=("x",))
    for raw in ("+49 151 secret", b"secret", ["secret"], {"secret": 1}, float("nan"), dt.time(1, 2)):
        assert "secret" not in repr(vars(refusal(field, raw))) + str(refusal(field, raw))
