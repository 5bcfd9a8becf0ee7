"""Define all errors of the package, grouped by what the caller does next.

::

    CrmError
    ├── ConfigurationError          fix the set-up; a retry would fail the same way
    │   ├── UnknownFieldError       a mapping names a field the vendor does not have
    │   ├── AuthenticationError     the vendor refused the whole key: no row can land
    │   └── GuardrailError          the run would break a limit: nothing was written, or only its first rows
    ├── TransientError              try again later; `retry_after` says when, in seconds
    │   ├── RateLimitedError        the rate limit is used up: all calls with this key pause
    │   ├── SourceUnreadableError   the rows could not be read
    │   ├── LedgerUnavailableError  the ledger's database cannot be used: the run stops
    │   ├── OutageError             the vendor is down: the run stops
    │   ├── ClaimLostError          another run took over this row's claim: the others go on
    │   ├── UploadRunningError      the vendor is writing rows that were uploaded: the run goes on when it has ended
    │   └── NotReachedError         the run ended before this row was sent
    ├── RejectedError               this row cannot land as it is; the others go on
    │   ├── InvalidValueError       refused here, before anything was sent
    │   └── IgnoredError            the vendor answered 2xx, and its record shows other values
    └── OutcomeUnknownError         sent, no answer, and not safe to send again

The type of an error decides whether a run stops; `code` is only for users to group by.

Every error has the known facts as attributes, and pickles with them. No error contains a secret: messages are built
from the vendor's own code and text, the record id and field names. Only operators turn them into Airflow's errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "AuthenticationError",
    "ClaimLostError",
    "ConfigurationError",
    "CrmError",
    "GuardrailError",
    "IgnoredError",
    "InvalidValueError",
    "LedgerUnavailableError",
    "NotReachedError",
    "OutageError",
    "OutcomeUnknownError",
    "RateLimitedError",
    "RejectedError",
    "SourceUnreadableError",
    "TransientError",
    "UnknownFieldError",
    "UploadRunningError",
]


class CrmError(Exception):
    """The root of the tree: catch it to catch every error of this package.

    Attributes:
        vendor: Name of the vendor, which is its connection type; empty where no vendor was involved.
        status: HTTP status of the answer, or None when there was no answer.
        code: The vendor's machine-readable code, or ours (such as `NAN`, or the class's `default_code`); stable enough
            to group by.
        request_id: The vendor's id of the request, if the answer names one.
        record_id: The opportunity in question, or None.
        field_errors: Message by field, as the vendor gave them.
        retry_after: Seconds until another attempt makes sense, or None when unknown.
        applied: Names of the row's fields that were written before it failed: not empty for a half-applied row.
        maybe_written: Whether an earlier attempt of the same call got no answer and may have landed.
    """

    default_code: ClassVar[str] = ""
    """The code of an error of this class that was raised without one."""

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
        self.code = code or self.default_code
        self.request_id = request_id
        self.record_id = record_id
        self.field_errors = dict(field_errors or {})
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the attributes along with the message, so that no attribute is lost between processes."""
        return (type(self), self.args, self.__dict__)


class ConfigurationError(CrmError):
    """The set-up is wrong: a connection, a mapping or an argument. A retry fails the same way."""


class UnknownFieldError(ConfigurationError):
    """A mapping names a field that this vendor does not have, or that cannot be written."""


class AuthenticationError(ConfigurationError):
    """The vendor refused the whole key (401, or 403 for every row): the run stops."""


class GuardrailError(ConfigurationError):
    """The run would break a guardrail: nothing was written, or only the rows of its canary."""

    default_code = "GUARDRAIL"


class TransientError(CrmError):
    """Nothing is wrong with the row: the same call can succeed later."""


class RateLimitedError(TransientError):
    """The vendor refused the call because the rate limit is used up; the call had no effect."""


class SourceUnreadableError(TransientError):
    """The rows of a source could not be read; reading them again can succeed."""

    default_code = "SOURCE"


class LedgerUnavailableError(TransientError):
    """The ledger's database cannot be used: the run stops, since its writes could not be recorded."""

    default_code = "LEDGER"


class OutageError(TransientError):
    """The vendor is down: calls failed one after another, and the one that tests the connection failed, too."""

    default_code = "OUTAGE"


class ClaimLostError(TransientError):
    """Another run took over this row's claim before it was sent; the other rows are not affected."""

    default_code = "TAKEN_OVER"


class UploadRunningError(TransientError):
    """The vendor is writing rows that were uploaded as one file; `retry_after` says when to ask again."""

    default_code = "UPLOADED"


class NotReachedError(TransientError):
    """The run ended before this row was sent."""

    default_code = "ENDED"


class RejectedError(CrmError):
    """The vendor refused this row. Other rows are not affected."""


class InvalidValueError(RejectedError):
    """A value was refused before anything was sent."""


class IgnoredError(RejectedError):
    """The vendor answered 2xx, yet the record in its answer shows another value than the one that was sent."""


class OutcomeUnknownError(CrmError):
    """The call was sent, no answer came, and repeating it could do harm."""
