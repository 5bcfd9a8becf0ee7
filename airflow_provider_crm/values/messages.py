"""Show values in messages: shortened, and not at all for personal fields."""

from __future__ import annotations

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.opportunity import Field

_SHOWN_LENGTH = 60
_SHOWN_BITS = 1_000


def invalid_value(field: Field, code: str, text: str, *shown: object) -> InvalidValueError:
    """Build the error for a value that a field does not take.

    Args:
        field: The field.
        code: Machine-readable cause.
        text: The rest of the sentence after the field's name.
        shown: The value, if the sentence ends with it; for a personal field the message only says that there was one.
    """
    value = "" if not shown else f" {shown_value(field, shown[0], instead='a value of another form')}"
    return InvalidValueError(f"{field.name} {text}{value}.", code=code, field_errors={field.name: text})


def shown_value(field: Field, raw: object, *, instead: str = HIDDEN) -> str:
    """Return a value for a message: shortened, and not at all for a personal field.

    Args:
        field: The field.
        raw: The value.
        instead: Text for the value of a personal field.
    """
    return instead if field.personal else repr(_shortened(raw))


def _shortened(raw: object) -> str:
    """Return the value as text; Python refuses to write whole numbers of thousands of digits."""
    text = hex(raw) if isinstance(raw, int) and raw.bit_length() > _SHOWN_BITS else str(raw)
    return text[:_SHOWN_LENGTH]
