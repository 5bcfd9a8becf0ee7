"""Check the values of each field of an opportunity as Close does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.close.view import stamp
from airflow_provider_crm.sandbox.wire import ISO_DATE, Json, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_crm.sandbox.close.account import CloseAccount
    from airflow_provider_crm.sandbox.close.organization import CustomField
    from airflow_provider_crm.sandbox.close.switches import CloseSwitches

PERIODS = ("one_time", "monthly", "annual")
_MOST_CENTS = 2**63 - 1
_MOST_CONFIDENCE = 100


class FieldError(ValueError):
    """A value that Close refuses, in both wordings in use."""

    def __init__(self, *, message: str, pydantic: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.pydantic = pydantic or message


class PlainFields:
    """The plain fields of one call, checked and converted."""

    def __init__(self, account: CloseAccount, switches: CloseSwitches, offset: timedelta) -> None:
        self._account = account
        self._switches = switches
        self._offset = offset
        self._readers: dict[str, Callable[[Json], Json]] = {
            "value": self._value,
            "value_period": self._period,
            "confidence": self._confidence,
            "note": self._note,
            "status_id": self._status,
            "user_id": self._user,
            "contact_id": self._contact,
            "lead_id": self._lead,
            "date_won": self._date_won,
            "attachments": self._attachments,
        }

    def is_writable(self, name: str) -> bool:
        """Return whether a field of this name can be written."""
        return name in self._readers

    def read(self, name: str, value: Json) -> Json:
        """Return the value to store.

        Raises:
            FieldError: Close refuses the value.
        """
        return self._readers[name](value)

    def _value(self, value: Json) -> int | None:
        if value is None:
            return None
        if isinstance(value, Decimal) and self._switches.close_truncates_float_value:
            value = int(value)
        if type(value) is not int:
            raise FieldError(message="Value must be of int type.", pydantic="Input should be a valid integer")
        if abs(value) > _MOST_CENTS:
            raise FieldError(
                message="Value is too large.", pydantic=f"Input should be less than or equal to {_MOST_CENTS}"
            )
        return value

    def _confidence(self, value: Json) -> int:
        if type(value) is not int:
            raise FieldError(message="Value must be of int type.", pydantic="Input should be a valid integer")
        if not 0 <= value <= _MOST_CONFIDENCE:
            raise FieldError(
                message="Value must be between 0 and 100.", pydantic="Input should be less than or equal to 100"
            )
        return value

    def _period(self, value: Json) -> str:
        return choice(value, PERIODS)

    def _note(self, value: Json) -> str | None:
        return None if value is None else text(value)

    def _status(self, value: Json) -> str:
        return known(value, self._account.statuses, "status")

    def _user(self, value: Json) -> str:
        return known(value, self._account.users, "user")

    def _lead(self, value: Json) -> str:
        return known(value, self._account.leads, "lead")

    def _contact(self, value: Json) -> str | None:
        return None if value is None else text(value)

    def _attachments(self, value: Json) -> list[Json]:
        if not isinstance(value, list):
            raise FieldError(message="Value must be of list type.", pydantic="Input should be a valid list")
        return value

    def _date_won(self, value: Json) -> str | None:
        if value is None:
            return None
        written = text(value)
        if ISO_DATE.fullmatch(written):
            return day(written)
        instant = moment(written)
        cut = self._switches.close_date_won_cut
        if cut == "written" or instant.utcoffset() is None:
            return instant.date().isoformat()
        zone = UTC if cut == "utc" else timezone(self._offset)
        return instant.astimezone(zone).date().isoformat()


def custom_value(definition: CustomField, value: Json, account: CloseAccount) -> Json:
    """Return what to store for a whole custom field; None unsets it.

    Raises:
        FieldError: the value doesn't fit the field's type.
    """
    if value is None:
        return None
    if not definition.multiple:
        return single_value(definition, value, account)
    if not isinstance(value, list):
        raise FieldError(message="Value must be of list type.", pydantic="Input should be a valid list")
    return [single_value(definition, item, account) for item in value]


def single_value(definition: CustomField, value: Json, account: CloseAccount) -> Json:
    """Return what to store for one value of a custom field.

    A datetime is stored in UTC; one without offset counts as UTC. A user may be named by id or by exact name.

    Raises:
        FieldError: the value doesn't fit the field's type.
    """
    match definition.type:
        case "number":
            if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
                raise FieldError(message="Value must be of number type.", pydantic="Input should be a valid number")
            return float(value) if isinstance(value, Decimal) else value
        case "date":
            return day(text(value))
        case "datetime":
            instant = moment(text(value))
            return stamp(instant if instant.utcoffset() is not None else instant.replace(tzinfo=UTC))
        case "choices":
            return choice(value, definition.choices)
        case "user":
            by_name = {user.name: user.id for user in account.users.values()}
            return known(by_name.get(text(value), value), account.users, "user")
    return text(value)


def text(value: Json) -> str:
    """Return the value, if it is a string."""
    if not isinstance(value, str):
        raise FieldError(message="Value must be of str type.", pydantic="Input should be a valid string")
    return value


def choice(value: Json, choices: tuple[str, ...]) -> str:
    """Return the value, if it is one of the choices."""
    if value not in choices:
        listed = ", ".join(f"'{one}'" for one in choices)
        raise FieldError(message=f"Value must be one of: {listed}.", pydantic=f"Input should be {listed}")
    return str(value)


def known(value: Json, ids: Mapping[str, object], kind: str) -> str:
    """Return the value, if it is the id of something that exists."""
    if text(value) not in ids:
        message = f"The {kind} {value} does not exist."
        raise FieldError(message=message)
    return str(value)


def day(written: str) -> str:
    """Return the value, if it is a date `YYYY-MM-DD`."""
    try:
        if ISO_DATE.fullmatch(written):
            return date.fromisoformat(written).isoformat()
    except ValueError:
        pass
    raise FieldError(message="Value must be a date.", pydantic="Input should be a valid date")


def moment(written: str) -> datetime:
    """Return the datetime that is written, with or without an offset."""
    try:
        return parse_instant(written)
    except ValueError as error:
        raise FieldError(message="Value must be a datetime.", pydantic="Input should be a valid datetime") from error
