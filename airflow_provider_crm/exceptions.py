"""All errors of the package, grouped by what the caller does next.

::

    CrmError
    ├── ConfigurationError          fix the set-up; a retry would fail the same way
    │   ├── UnknownFieldError       a mapping names a field the vendor does not have
    │   └── AuthenticationError     the vendor refused the whole key: no row can land
    ├── TransientError              try again later; `retry_after` says when, in seconds
    │   └── RateLimitedError        the budget is used up: everybody on this key pauses
    ├── RejectedError               this row cannot land as it is; the others go on
    │   ├── InvalidValueError       refused here, before anything was sent
    │   └── IgnoredError            the vendor answered 2xx, and its record shows other values
    └── OutcomeUnknownError         sent, no answer, and not safe to send again

Every error carries what is known as attributes and pickles with them. None holds a secret: messages are built from
the vendor's own code and text, the record id and field names. Only operators translate them into Airflow's errors.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "CrmError",
    "IgnoredError",
    "InvalidValueError",
    "OutcomeUnknownError",
    "RateLimitedError",
    "RejectedError",
    "TransientError",
    "UnknownFieldError",
]


class CrmError(Exception):
    """The root of the tree: catch it to catch everything this package raises.

    Attributes:
        vendor: Name of the vendor, such as `close`; empty where no vendor was involved.
        status: HTTP status of the answer, or None when there was no answer.
        code: The vendor's machine-readable code, or ours (such as `NAN`); stable enough to group by.
        request_id: The vendor's id of the request, where it tells one.
        record_id: The opportunity in question, or None.
        field_errors: Message by field, as the vendor gave them.
        retry_after: Seconds until another attempt makes sense, or None when unknown.
        applied: Names of the row's fields that were written before it failed: not empty for a half-applied row.
        maybe_written: Whether an earlier attempt of the same call got no answer and may have landed.
    """

    applied: tuple[str, ...] = ()
    maybe_written: bool = False

    def __init__(
        self,
        message: str,
        *,
        vendor: str = "",
        status: int | None = None,
        code: str = "",
        request_id: str | None = None,
        record_id: str | None = None,
        field_errors: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.vendor = vendor
        self.status = status
        self.code = code
        self.request_id = request_id
        self.record_id = record_id
        self.field_errors = dict(field_errors or {})
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the attributes along with the message, so the error crosses process boundaries whole."""
        return (type(self), self.args, self.__dict__)


class ConfigurationError(CrmError):
    """The set-up is wrong: a connection, a mapping or an argument. A retry fails the same way."""


class UnknownFieldError(ConfigurationError):
    """A mapping names a field that this vendor does not have, or that cannot be written."""


class AuthenticationError(ConfigurationError):
    """The vendor refused the whole key (401, or 403 for every row): the run stops."""


class TransientError(CrmError):
    """Nothing is wrong with the row: the same call can succeed later."""


class RateLimitedError(TransientError):
    """The vendor refused the call because the budget is used up; the call had no effect."""


class RejectedError(CrmError):
    """The vendor refused this row. Other rows are not affected."""


class InvalidValueError(RejectedError):
    """A value was refused before anything was sent."""


class IgnoredError(RejectedError):
    """The vendor answered 2xx, yet the record that came back does not hold what was sent."""


class OutcomeUnknownError(CrmError):
    """The call was sent, no answer came, and repeating it could do harm."""
