"""Batchly: a CRM whose calls carry up to a hundred rows. It stands for the vendors with batches that are to come.

Every way in which a vendor may answer a batch is a vendor of its own, see `tests.fake.api`.
"""

from __future__ import annotations

from http import HTTPStatus
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from airflow_provider_crm.values.opportunity import Field, FieldValue
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import body_of, member, objects_of, record_error, text_of
from airflow_provider_crm.vendors.batches import with_members
from airflow_provider_crm.vendors.calls import BatchCall, BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.credentials import Authentication
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.wins import WinRules
from tests.fake.vendor_answers import named_rows, ordered_records, ordered_rows, policy_and_wait, read_error, rows_of
from tests.fake.vendor_fields import PLAIN_FIELDS, STAGE_FIELDS, read_catalogue, shown, shows, spell, vendor_values

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.calls import BatchRow, RowAnswer
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Credentials, ExtraField
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

LARGEST_BATCH, LARGEST_BODY, PAGE_SIZE = 100, 1_000_000, 100
_WINS = WinRules(
    stage_fields=("stage", "deal_stage"),
    date_field="date_won",
    advice="Map a column to date_won, or pass date_won_default='server' (now) or 'as_of' (the date of the data).",
)


class Batchly:
    """The vendor whose answers name rows by id and trace, and show what was written."""

    name = "batchly"
    display_name = "Batchly"
    origin = "https://api.batchly.example"
    documentation = "https://developers.batchly.example"
    id_key = "id"
    api_version = 1
    api_key_label = "Token"
    offset_header: str | None = None
    documented_fields: tuple[Field, ...] = (*PLAIN_FIELDS, *STAGE_FIELDS)
    extra: Mapping[str, ExtraField] = {}
    stated_limits: Mapping[str, Limits] = {}
    wins: WinRules | None = _WINS
    _has_stages = True
    _rows_member = '"inputs": '
    _shows_values = True
    _cost_per_row = 0

    def __init__(self) -> None:
        root = f"/{self.name}/v1"
        self._root, self._records = root, f"{root}/records"
        self.batch_read: BatchRead | None = BatchRead(LARGEST_BATCH, self._batch_read_call, self._split_records)
        self._batch = BatchCall(
            "POST",
            f"{self._records}/batch/update",
            LARGEST_BATCH,
            self._join,
            self._split,
            largest_bytes=LARGEST_BODY,
            shows_values=self._shows_values,
            cost_per_row=self._cost_per_row,
        )

    def authentication(self, credentials: Credentials) -> Authentication:
        """Sign by a header of its own."""
        if not credentials.api_key:
            return Authentication(("the token is missing: put it in the connection's password",))
        return Authentication(headers={"X-Batchly-Token": credentials.api_key})

    def probe(self) -> Call:
        """Use the account, which every key may read."""
        return Call("GET", f"{self._root}/account")

    def check_probe(self, response: HttpResponse) -> str:
        """Name the account and its zone."""
        if not response.ok:
            raise self.error(response)
        catalogue = self.catalogue([body_of(response)], {})
        if catalogue.organization is None:
            raise record_error(self.display_name, response)
        zone = text_of(catalogue.facts["time_zone"])
        return f"Connected to {self.display_name}, account {catalogue.organization} (time zone {zone})."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Read the account and its pipelines, and the schema if a field is mapped that not every account has."""
        parts = ["pipelines"] if self._has_stages else []
        if not {*names} <= {field.name for field in self.documented_fields}:
            parts.append("schema")
        return (self.probe(), *(Call("GET", f"{self._root}/{part}") for part in parts))

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
        """Read the answers in the order of their calls; the probe's alone will do."""
        parts = ("account", "pipelines", "schema") if self._has_stages else ("account", "schema")
        return read_catalogue(dict(zip(parts, answers, strict=False)), self.documented_fields)

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return ids of stages with those of their pipelines, and noon in the portal's zone for the date of a win."""
        return vendor_values(field, values, catalogue)

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PATCH`, which changes only the properties in it, or one call for a hundred of them."""
        if not keys:
            return ()
        call = WriteCall(
            "PATCH",
            f"{self._records}/{{}}",
            keys,
            envelope=("properties",),
            spell=spell,
            shows_values=self._shows_values,
            cost=1 + self._cost_per_row,
            batch=self._batch,
        )
        return (call,)

    def canonical_id(self, record_id: str) -> str:
        """Return the id without zeros in front, as the vendor shows it."""
        return record_id.lstrip("0") or "0" if record_id.isascii() and record_id.isdigit() else record_id

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:
        """Name the properties: without names only a few are shown."""
        return Call("GET", f"{self._records}/{path_segment(record_id)}", params=_named(keys))

    def list_call(self, filters: Mapping[str, str], cursor: str | None, keys: Sequence[str]) -> Call:
        """Use `limit` and `after`, whose value only the vendor can read."""
        after = {} if cursor is None else {"after": cursor}
        return Call("GET", self._records, params={**filters, **_named(keys), "limit": str(PAGE_SIZE), **after})

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:
        """Read `results` and `paging.next.after`; the number of pages is not told."""
        after = member(member(member(body, "paging"), "next"), "after")
        return RecordPage(objects_of(member(body, "results")), after if isinstance(after, str) and after else None)

    def read(self, response: HttpResponse) -> Record:
        """Read the bare record."""
        body = body_of(response)
        if not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
            raise record_error(self.display_name, response)
        return body

    def shows(
        self,
        key: str,
        sent: FieldValue,
        record: Record,
        catalogue: Catalogue,
        *,
        echo: bool,
    ) -> bool:
        """Compare a property; every answer that shows values shows all that were written, and all that were asked."""
        return shows(key, sent, record, catalogue)

    def stored_value(self, key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
        """Return the property."""
        return shown(key, record, catalogue)

    def error(self, response: HttpResponse) -> CrmError:
        """Read an error in either form."""
        return read_error(self, response)

    def budget_group(self, call: Call) -> str:
        """Count lists apart."""
        return "list" if call.method == "GET" and call.path == self._records else ""

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:
        """Read the burst, whose window slides and has no end, and the day."""
        headers = response.headers
        milliseconds = limit_headers.seconds(headers.get("X-Batchly-Interval-Milliseconds"))
        length, reset = _thousandth(milliseconds), limit_headers.seconds_left(headers.get("X-Batchly-Daily-Reset"), now)
        burst_wait, day_wait = None, None
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            policy, told = policy_and_wait(response)
            wait = _thousandth(limit_headers.seconds(told))
            if policy == "DAILY":
                day_wait = limit_headers.first_known(wait, reset)
            else:
                burst_wait = limit_headers.first_known(wait, length)
        burst = Limits(
            wait=burst_wait,
            limit=limit_headers.most_calls(headers.get("X-Batchly-Limit")),
            remaining=limit_headers.calls(headers.get("X-Batchly-Remaining")),
            length=length,
            name="burst",
        )
        day = Limits(
            wait=day_wait,
            limit=limit_headers.most_calls(headers.get("X-Batchly-Daily-Limit")),
            remaining=limit_headers.calls(headers.get("X-Batchly-Daily-Remaining")),
            reset=reset,
            name="day",
            is_daily=True,
        )
        return burst, day

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:
        """Return the page of the record; a server of another origin has none."""
        if origin != self.origin:
            return None
        return f"https://app.batchly.example/records/{path_segment(record_id)}"

    def _join(self, rows: Sequence[BatchRow]) -> str:
        """Put the rows in one list, each with its id and its trace."""
        parts = (
            with_members(row.body, f'"id": {_quoted(row.record_id)}, "traceId": {_quoted(row.trace)}') for row in rows
        )
        return f"{{{self._rows_member}[{', '.join(parts)}]}}"

    def _split(self, response: HttpResponse, rows: Sequence[BatchRow]) -> Sequence[RowAnswer]:
        return rows_of(self, response, rows)

    def _batch_read_call(self, record_ids: Sequence[str], keys: Sequence[str]) -> Call:
        inputs = ", ".join(f'{{"id": {_quoted(record_id)}}}' for record_id in record_ids)
        names = f', "properties": [{", ".join(map(_quoted, keys))}]' if keys else ""
        return Call("POST", f"{self._records}/batch/read", body=f"{{{self._rows_member}[{inputs}]{names}}}")

    def _split_records(self, response: HttpResponse, record_ids: Sequence[str]) -> Sequence[RowAnswer]:
        return named_rows(self, response, record_ids, ())


class BatchlyMute(Batchly):
    """The vendor whose answers have the order of the rows and show no value."""

    name = "batchly_mute"
    display_name = "Batchly Mute"
    _rows_member = '"allOrNone": false, "records": '
    _shows_values = False
    _cost_per_row = 1

    def read(self, response: HttpResponse) -> Record:
        """Read the bare record; the answer to a write has none."""
        return {} if response.status_code == HTTPStatus.NO_CONTENT else super().read(response)

    def _join(self, rows: Sequence[BatchRow]) -> str:
        parts = (with_members(row.body, f'"id": {_quoted(row.record_id)}') for row in rows)
        return f"{{{self._rows_member}[{', '.join(parts)}]}}"

    def _split(self, response: HttpResponse, rows: Sequence[BatchRow]) -> Sequence[RowAnswer]:
        return ordered_rows(self, response, [row.record_id for row in rows])

    def _split_records(self, response: HttpResponse, record_ids: Sequence[str]) -> Sequence[RowAnswer]:
        return ordered_records(self, response, record_ids)


class BatchlyFlat(Batchly):
    """The vendor whose records have no stages."""

    name = "batchly_flat"
    display_name = "Batchly Flat"
    documented_fields: tuple[Field, ...] = PLAIN_FIELDS
    wins: WinRules | None = None
    _has_stages = False


def _named(keys: Sequence[str]) -> dict[str, str]:
    return {"properties": ",".join(keys)} if keys else {}


def _thousandth(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


_quoted = encode_basestring_ascii
BATCHLY, BATCHLY_MUTE, BATCHLY_FLAT = Batchly(), BatchlyMute(), BatchlyFlat()
VENDORS = (BATCHLY, BATCHLY_MUTE, BATCHLY_FLAT)
"""All of them."""
