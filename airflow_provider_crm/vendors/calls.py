"""Describe HTTP calls, without any I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.values.opportunity import FieldValue
from airflow_provider_crm.vendors.records import Json, Record

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import HttpResponse

JSON = "application/json"
NOTHING: Mapping[str, str] = MappingProxyType({})
"""The parameters and written values of most calls: none."""


RowAnswer: TypeAlias = Record | CrmError | None
"""The record that an answer shows for one row, or only its id; the row's own error; None if it says nothing."""


class BatchRow(NamedTuple):
    """One row of a call that carries several.

    Attributes:
        record_id: The opportunity.
        body: JSON text of an object, as the call for this row alone would send it.
        trace: A text that no other row of the call has, for vendors that repeat one in their answers.
    """

    record_id: str
    body: str
    trace: str


@dataclass(frozen=True, slots=True)
class BatchCall:
    """A vendor's call that writes several rows.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, already percent-encoded.
        largest: Maximum number of rows.
        join: Returns the body for some rows.
        split: Returns what an answer of 2xx says about each of the rows, in their order. It raises a `CrmError` for an
            answer that has not the documented shape, or says failure as a whole.
        largest_bytes: Maximum size of the body; None if the vendor names none.
        shows_values: Whether the answer shows the written values; else the records are read and compared afterwards.
        cost: Units of the vendor's rate limit that the call costs.
        cost_per_row: Units that each of its rows costs.
        unverified: The call in its place where the values are not compared; None for the same call.
        with_options: Takes the body and the headers that the connection's settings choose, and returns the body with
            them in it. For a call whose parts do not inherit the headers of the call; None for every other one.
        together: The key of which rows with the same value share a call, as far as they fit, because the vendor locks
            more than the row itself; None if there is no such key.
    """

    method: str
    path: str
    largest: int
    join: Callable[[Sequence[BatchRow]], str]
    split: Callable[[HttpResponse, Sequence[BatchRow]], Sequence[RowAnswer]]
    largest_bytes: int | None = None
    shows_values: bool = True
    cost: int = 1
    cost_per_row: int = 0
    unverified: BatchCall | None = None
    with_options: Callable[[str, Mapping[str, str]], str] | None = None
    together: str | None = None


class RecordPage(NamedTuple):
    """One page of a list of records.

    Attributes:
        records: The records.
        cursor: The text with which the next page is asked for; None if this is the last one.
        pages: Number of pages of the whole list; None if the answer does not say.
    """

    records: Sequence[Record]
    cursor: str | None
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class RecordRule:
    """A rule by which some records keep their value of a key, whatever is written: a plan says so beforehand.

    Attributes:
        keys: The vendor's keys that show whether it holds for a record.
        reason: Takes a key that is to be written, and the record; returns a sentence for a person, or an empty text if
            the record takes the value.
    """

    keys: tuple[str, ...]
    reason: Callable[[str, Record], str]


@dataclass(frozen=True, slots=True)
class WriteCall:
    """A call that writes a part of a row, without the values that differ from row to row.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, with `{}` where the record id goes.
        keys: The vendor's keys that it carries; its body is a JSON object of them.
        replayable: Whether sending it twice does no harm when the first answer was lost.
        envelope: Members around that object, the outermost first, such as `("properties",)`.
        spell: Returns the JSON that the wire has for the value of a key, where it is not the value itself. What is
            compared, stored and undone is the value.
        shows_values: Whether the answer shows the written values; else the record is read and compared afterwards.
        shows_unchanged: Whether the answer shows a value also if the record had it before. If not, the record is read
            and compared where the answer, or that of the batch, leaves a value out.
        cost: Units of the vendor's rate limit that it costs.
        batch: How rows share a call; None for one row a call.
        cause_of: Takes keys that the vendor accepted and did not write; returns a sentence about the likely cause.
        record_rule: The rule by which some records do not take all values; None if each record takes all.
        upload: How very many rows travel as one file; None if they cannot.
    """

    method: str
    path: str
    keys: tuple[str, ...]
    replayable: bool = True
    envelope: tuple[str, ...] = ()
    spell: Callable[[str, FieldValue], Json] | None = None
    shows_values: bool = True
    shows_unchanged: bool = True
    cost: int = 1
    batch: BatchCall | None = None
    cause_of: Callable[[Sequence[str]], str] | None = None
    record_rule: RecordRule | None = None
    upload: UploadCalls | None = None


class Call(NamedTuple):
    """One HTTP call.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, already percent-encoded.
        params: Query parameters.
        body: Text to send, JSON unless `content_type` says otherwise; or None for no body.
        replayable: Whether sending it twice does no harm when the first answer was lost.
        writes: The values that the record must show afterwards, by key of the vendor's answer.
        fields: Names of the update's fields that this call carries.
        route: The write call that it was made from; None for a call that writes no row.
        cost: Units of the vendor's rate limit that it costs.
        next_page: Takes the answer of a reading call, and returns the call for the page after it, or None after the
            last one; None for a call whose answer is whole. See `Vendor.catalogue`.
        content_type: Media type of the body.
    """

    method: str
    path: str
    params: Mapping[str, str] = NOTHING
    body: str | None = None
    replayable: bool = True
    writes: Mapping[str, FieldValue] = NOTHING
    fields: tuple[str, ...] = ()
    route: WriteCall | None = None
    cost: int = 1
    next_page: Callable[[Json], Call | None] | None = None
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class BatchRead:
    """A vendor's call that reads several records.

    Attributes:
        largest: Maximum number of records.
        call: Returns the call for some record ids and the keys to read.
        split: Returns the record of each id, in order. A `RejectedError` with the status 404 stands for a record that
            does not exist, None for one of which the answer says nothing.
    """

    largest: int
    call: Callable[[Sequence[str], Sequence[str]], Call]
    split: Callable[[HttpResponse, Sequence[str]], Sequence[RowAnswer]]


@dataclass(frozen=True, slots=True)
class RecordLookup:
    """A vendor's call that finds opportunities by the values of one field.

    Attributes:
        largest: Maximum number of values.
        call: Takes the values, and the cursor of a page (None for the first one); returns the call.
        page: Takes the body of an answer; returns the records that were found, each with its id and the field. None for
            a body of another shape, which is none of the vendor's.
        lag: Seconds by which the vendor's index may be behind: a value that is not found is looked for once more.
        folds_case: Whether values that differ only in their case are one value to the vendor.
        largest_encoded: Maximum number of characters of all values, percent-encoded; None if there is none.
    """

    largest: int
    call: Callable[[Sequence[str], str | None], Call]
    page: Callable[[Json], RecordPage | None]
    lag: float = 0.0
    folds_case: bool = False
    largest_encoded: int | None = None


class UploadState(enum.Enum):
    """How far the vendor is with an upload."""

    OPEN = "open"
    """It waits for the file, or for the word to begin: no row is written."""
    RUNNING = "running"
    ENDED = "ended"
    """No further row is written, whatever became of them."""


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """The vendor's answer about an upload.

    Attributes:
        id: The vendor's id of it.
        state: How far it is.
        reason: Why it ended before its last row, in the vendor's words; else empty.
    """

    id: str
    state: UploadState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UploadCalls:
    """A vendor's calls for uploads. Their rows are read back afterwards: no result of an upload is believed.

    Attributes:
        fewest: Rows for which an upload is worth its calls.
        largest: Maximum number of rows.
        largest_bytes: Maximum size of the file.
        opening: The call that opens an upload.
        status: Reads the answer of `opening`, `begin`, `ask` and `cancel`. It raises a `CrmError` for an answer that
            has not the documented shape.
        header: Takes the keys of the file's columns, and returns its first line, without its end.
        line: Takes a record id, the JSON object of a row, and the keys of the columns so far, to which it adds those
            that are new; returns the row's line, without its end. None for a row that a file cannot express.
        file: Takes the vendor's id and the text of the file, and returns the call that sends it.
        begin: Takes the vendor's id, and returns the call after which the vendor writes the rows.
        ask: Takes the vendor's id, and returns the call that asks for the status.
        cancel: Takes the vendor's id, and returns the call after which no further row is written.
    """

    fewest: int
    largest: int
    largest_bytes: int
    opening: Call
    status: Callable[[HttpResponse], UploadStatus]
    header: Callable[[list[str]], str]
    line: Callable[[str, str, list[str]], str | None]
    file: Callable[[str, str], Call]
    begin: Callable[[str], Call]
    ask: Callable[[str], Call]
    cancel: Callable[[str], Call]
