"""Everything that is true only of Close (https://developer.close.com).

Sources of the rules: the vendor's page "Update an opportunity" with its OpenAPI schema, and its pages on
authentication, rate limits, custom fields and pipelines. Where the vendor is silent, the choice made here says so.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import re
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, InvalidValueError, RejectedError
from airflow_provider_crm.values.equality import same_value
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind, Update
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.answers import (
    answered,
    body_of,
    error_class,
    exact_number,
    foreign_error,
    member,
    number_of,
    record_error,
    text_of,
)
from airflow_provider_crm.vendors.calls import Call, Route
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.credentials import Credentials, ExtraField, Grant, Tokens
from airflow_provider_crm.vendors.limit_headers import calls, most_calls, retry_after, seconds, standard_quota
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.records import Json, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests
    from requests.auth import AuthBase

    from airflow_provider_crm.exceptions import CrmError

_API = "/api/v1"
_RECORD = f"{_API}/opportunity/{{}}/"
_PAGE_SIZE = 100
_CODES: Mapping[int, str] = {HTTPStatus.BAD_REQUEST: "BAD_REQUEST", HTTPStatus.NOT_FOUND: "NOT_FOUND"}

# Close keeps money as an integer "in cents"; what it does for currencies with another number of decimals is not
# documented, so those are refused rather than written a hundred times too large or small.
# fmt: off
_NOT_TWO_DECIMALS = frozenset({
    "BHD", "BIF", "CLF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD",
    "LYD", "OMR", "PYG", "RWF", "TND", "UGX", "UYI", "UYW", "VND", "VUV", "XAF", "XOF", "XPF",
})
# fmt: on

_OWN_FIELDS = (
    Field("deal_value", "value", Kind.MONEY),
    Field("deal_currency", "value_currency", Kind.CURRENCY, clearable=False, written=False),
    Field("stage", "status_id", Kind.STAGE, clearable=False),
    Field("notes", "note"),
    Field("responsible_user_id", "user_id", Kind.USER, clearable=False),
    Field("date_won", "date_won", Kind.DATE),
    Field("value", "value", Kind.INTEGER),
    Field("value_period", "value_period", choices=("one_time", "monthly", "annual"), clearable=False),
    Field("status_id", "status_id", clearable=False),
    Field("note", "note"),
    Field("user_id", "user_id", Kind.USER, clearable=False),
    Field("confidence", "confidence", Kind.INTEGER, clearable=False),
    Field("contact_id", "contact_id"),
)
_CUSTOM_KINDS = {"number": Kind.NUMBER, "date": Kind.DATE, "datetime": Kind.DATETIME, "user": Kind.USER}
_ONE_OF_MANY = (".add", ".remove")
_OLD_ERROR = {"message", "rate_reset", "rate_limit", "rate_window", "rate_limit_type", "rate_endpoint_group"}
# What counts where the answer names no time, or none that a token lives.
_TOKEN_SECONDS, _LONGEST_TOKEN = 3600.0, 366 * 86_400.0
_OAUTH = ("client_id", "client_secret", "refresh_token")


class Close:
    """The Close API, version 1."""

    name = "close"
    display_name = "Close"
    origin = "https://api.close.com"
    documentation = "https://developer.close.com"
    id_key = "id"
    late_win_advice = (
        "Map a column to date_won, or pass date_won_default='server' (today) or 'as_of' (the date of the data)."
    )
    api_key_label = "API key"
    documented_fields: tuple[Field, ...] = _OWN_FIELDS
    extra: Mapping[str, ExtraField] = {
        "access_token": ExtraField("OAuth access token", "A bearer token, instead of an API key.", secret=True),
        "client_id": ExtraField("OAuth client id", "With the two fields below: tokens are fetched and renewed."),
        "client_secret": ExtraField("OAuth client secret", "Of the same OAuth application.", secret=True),
        "refresh_token": ExtraField(
            "OAuth refresh token", "The first one; its successors are kept in the ledger.", secret=True
        ),
    }

    def credential_problems(self, credentials: Credentials) -> list[str]:
        """Exactly one of API key, access token and OAuth application is needed."""
        token = credentials.extra.get("access_token")
        missing = [key for key in _OAUTH if not credentials.extra.get(key)]
        if len(missing) < len(_OAUTH):
            problems = [f"for OAuth extra.{key} is missing, too" for key in missing]
            if credentials.api_key or token:
                problems.append("besides OAuth (extra.client_id) an API key or access token is set; keep one of them")
            return problems
        if credentials.api_key and token:
            return ["both an API key (password) and extra.access_token are set; keep one of them"]
        if not credentials.api_key and not token:
            problem = (
                "the API key is missing: put it in the connection's password (or an OAuth token in extra.access_token, "
                "or extra.client_id, client_secret and refresh_token)"
            )
            return [problem]
        return []

    def auth(self, credentials: Credentials) -> AuthBase:
        """Basic with the key as user name and an empty password, or an OAuth bearer token."""
        from requests.auth import HTTPBasicAuth

        from airflow_provider_crm.vendors.header_auth import HeaderAuth

        token = credentials.extra.get("access_token")
        return HeaderAuth("Authorization", f"Bearer {token}") if token else HTTPBasicAuth(credentials.api_key or "", "")

    def grant(self, credentials: Credentials) -> Grant | None:
        """`POST /oauth2/token/`, form-encoded; each refresh token is valid once."""
        extra = credentials.extra
        if not extra.get("refresh_token"):
            return None
        form = {"grant_type": "refresh_token", "client_id": extra["client_id"], "client_secret": extra["client_secret"]}
        return Grant("/oauth2/token/", extra["client_id"], form, extra["refresh_token"], _tokens)

    def probe(self) -> Call:
        """`GET /me/`: tells user, organization, currency and stages in one call."""
        return Call("GET", f"{_API}/me/", params={"_fields": "id,organizations"})

    def check_probe(self, response: requests.Response) -> str:
        """Name the organization; an answer without one is not Close's."""
        if not response.ok:
            raise self.error(response)
        catalogue = self.catalogue([self.read(response)])
        if catalogue.organization is None:
            raise record_error(self.display_name, response)
        return f"Connected to Close, organization {catalogue.organization} ({catalogue.currency or 'no currency'})."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """`/me/` for currency and stages; the schema of custom fields only if one is mapped."""
        schema = Call("GET", f"{_API}/custom_field_schema/opportunity/")
        return (self.probe(), schema) if any(name.startswith("custom.") for name in names) else (self.probe(),)

    def catalogue(self, answers: Sequence[Json]) -> Catalogue:
        """Own fields, plus custom fields (own and shared) if their schema is among the answers."""
        organizations = member(answers[0], "organizations")
        organization = organizations[0] if isinstance(organizations, list) and organizations else {}
        fields, labels = {field.name: field for field in _OWN_FIELDS}, {}
        for answer in answers[1:]:
            for definition in _objects(member(answer, "fields")):
                custom = _custom_fields(definition)
                fields.update({field.name: field for field in custom})
                labels[custom[0].name] = text_of(definition.get("name"))
        return Catalogue(
            fields=fields,
            labels={name: label for name, label in labels.items() if label},
            organization=text_of(member(organization, "id")) or None,
            currency=text_of(member(organization, "currency")).upper() or None,
            stages=tuple(
                Stage(
                    id=text_of(status.get("id")),
                    label=text_of(status.get("label")),
                    type=text_of(status.get("type")),
                    pipeline=text_of(pipeline.get("name")),
                    pipeline_id=text_of(pipeline.get("id")),
                )
                for pipeline in _objects(member(organization, "pipelines"))
                for status in _objects(pipeline.get("statuses"))
            ),
        )

    def unknown_field(self, name: str, catalogue: Catalogue) -> str:
        """Name the writable fields; for a custom field, those of this organization."""
        if name.startswith("custom."):
            known = sorted(field for field in catalogue.fields if field.startswith("custom."))
            custom = catalogue.labelled(", ".join(known)) or "none"
            return f"Close has no opportunity field {name!r} in this organization; its custom fields: {custom}"
        known = [field for field in catalogue.fields if not field.startswith("custom.")]
        return f"Close has no writable field {name!r}; write one of {', '.join(known)}, or custom.<field id>"

    def wins_without_date(self, update: Update, catalogue: Catalogue) -> bool:
        """A status of type `won` without `date_won`: Close then sets today's date, unless the record has one."""
        if update.fields.get("date_won") is not None:
            return False
        status = update.fields.get("status_id")
        if isinstance(label := update.fields.get("stage"), str):
            status = _stage(catalogue.fields["stage"], label, catalogue).id
        return any(stage.id == status and stage.type == "won" for stage in catalogue.stages)

    def dated(self, update: Update, day: dt.date) -> Update:
        """Send `date_won` along."""
        return dataclasses.replace(update, fields={**update.fields, "date_won": day})

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Sequence[FieldValue]:
        """Cents, and status ids; the currency is only compared with the organization's."""
        if field.kind is Kind.MONEY:
            _check_decimals(catalogue)
            return [None if value is None else int(value * 100) for value in cast("Sequence[Decimal | None]", values)]
        if field.kind is Kind.STAGE:
            ids = {label: _stage(field, label, catalogue).id for label in set(values) if isinstance(label, str)}
            return [ids[value] if isinstance(value, str) else value for value in values]
        if field.kind is Kind.CURRENCY:
            for value in set(values):
                _check_currency(field, value, catalogue)
        return values

    def write_calls(self, keys: tuple[str, ...]) -> tuple[Route, ...]:
        """One `PUT`, which changes only what it holds."""
        once = any(key.endswith(_ONE_OF_MANY) for key in keys)
        return (Route("PUT", _RECORD, keys, replayable=not once),) if keys else ()

    def canonical_id(self, record_id: str) -> str:
        """As it stands: ids are opaque, and upper and lower case differ."""
        return record_id

    def read_call(self, record_id: str) -> Call:
        """`GET /opportunity/{id}/`."""
        return Call("GET", _RECORD.format(path_segment(record_id)))

    def list_call(self, filters: Mapping[str, str], page: int) -> Call:
        """`GET /opportunity/` with `_skip` and `_limit`."""
        return Call(
            "GET",
            f"{_API}/opportunity/",
            params={**filters, "_skip": str(page * _PAGE_SIZE), "_limit": str(_PAGE_SIZE)},
        )

    def parse_page(self, body: Json) -> tuple[list[Record], bool]:
        """`data` and `has_more`."""
        return _objects(member(body, "data")), member(body, "has_more") is True

    def headers(self, offset: str) -> Mapping[str, str]:
        """`x-tz-offset`, always: what Close takes when it is absent is not documented."""
        return {"x-tz-offset": offset}

    def read(self, response: requests.Response) -> Record:
        """The bare object."""
        body = body_of(response)
        if not isinstance(body, dict):
            raise record_error(self.display_name, response)
        return body

    def unconfirmed(self, call: Call, record: Record) -> tuple[str, ...]:
        """Compare each written key; `.add` and `.remove` look into the list, a user's name comes back as an id."""
        return tuple(
            key
            for key, sent in call.writes.items()
            if not _shows(record, key, sent) and not _shows_some_user(record, key, sent)
        )

    def applied(self, call: Call, record: Record) -> bool:
        """Compare strictly: an id in place of a sent name may be anybody's, so such a call counts as not applied."""
        return all(_shows(record, key, sent) for key, sent in call.writes.items())

    def stored_value(self, key: str, record: Record) -> tuple[Json, ...]:
        """A record lists every field; a custom field without a value has no key. `.add` and `.remove` show the list."""
        name, dot, suffix = key.rpartition(".")
        target = name if dot + suffix in _ONE_OF_MANY else key
        return (record.get(target),) if target in record or target.startswith("custom.") else ()

    def amount(self, key: str, value: Json) -> Decimal | None:
        """`value` is in cents."""
        number = exact_number(value) if key == "value" else None
        return None if number is None else number.scaleb(-2)

    def pages(self, body: Json) -> int | None:
        """From `total_results`."""
        total = number_of(member(body, "total_results"))
        return None if total is None else math.ceil(total / _PAGE_SIZE)

    def error(self, response: requests.Response) -> CrmError:
        """400 in both shapes (`errors` + `field-errors`, or `error`), and every other status in one of them."""
        status = response.status_code
        body = body_of(response)
        if not _is_own_error(body):
            return foreign_error(self, response)
        fields = _field_errors(member(body, "field-errors"))
        error = member(body, "error")
        texts = [text_of(item) for item in _list(member(body, "errors"))]
        message = text_of(member(error, "message") if isinstance(error, dict) else error) or "; ".join(
            filter(None, texts)
        )
        kind = error_class(status)
        if fields and kind is AuthenticationError and status != HTTPStatus.UNAUTHORIZED:
            kind = RejectedError
        code = _CODES.get(status, f"HTTP_{status}")
        return kind(
            answered(self.display_name, status, code="", message=message, fields=fields),
            vendor=self.name,
            status=status,
            code=code,
            request_id=response.headers.get("x-request-id"),
            field_errors=fields,
        )

    def budget_group(self, call: Call) -> str:
        """By resource, reading or writing: Close limits by groups of paths and methods, and publishes none of them."""
        return f"{call.path.split('/')[3]} {'read' if call.method == 'GET' else 'write'}"

    def limits(self, response: requests.Response, now: dt.datetime) -> Limits:
        """Read `RateLimit` in every spelling on record, `Retry-After`, the deprecated headers and the old body."""
        headers, quota = response.headers, standard_quota(response.headers)
        old_reset, wait = seconds(headers.get("x-rate-limit-reset")), None
        if response.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            old_body = seconds(member(member(body_of(response), "error"), "rate_reset"))
            wait = _first(quota.reset, retry_after(response, now), old_body, old_reset)
        limit, remaining = quota.limit, quota.remaining
        return Limits(
            wait=wait,
            limit=most_calls(headers.get("x-rate-limit-limit")) if limit is None else limit,
            remaining=calls(headers.get("x-rate-limit-remaining")) if remaining is None else remaining,
            reset=_first(quota.reset, old_reset),
        )


def _tokens(response: requests.Response, now: dt.datetime) -> Tokens:
    """The pair that the token endpoint issued; of a refusal only its code is told, as bodies may hold tokens."""
    status, body = response.status_code, body_of(response)
    if status >= HTTPStatus.BAD_REQUEST and not isinstance(member(body, "error"), str):
        raise foreign_error(VENDOR, response, quoted=False)
    code = text_of(member(body, "error"))
    code = code if re.fullmatch(r"[a-z_]{1,40}", code) else ""
    if code == "invalid_grant":
        msg = (
            "Close refused the refresh token (invalid_grant): it was revoked, or used by somebody who does not share "
            "this ledger, or the answer with its successor was lost. Authorise the OAuth application again and put "
            "the new refresh token into the connection's extra."
        )
        raise AuthenticationError(msg, vendor="close", status=status, code="INVALID_GRANT")
    if not response.ok or response.is_redirect:
        kind = ConfigurationError if status < HTTPStatus.BAD_REQUEST else error_class(status)
        kind = AuthenticationError if kind is RejectedError else kind
        err = kind(
            answered("Close's token endpoint", status, code="", message=code, fields={}),
            vendor="close",
            status=status,
            code=f"HTTP_{status}",
        )
        err.retry_after = retry_after(response, now)
        raise err
    access, refresh = member(body, "access_token"), member(body, "refresh_token")
    if not _is_token(access) or not (refresh in (None, "") or _is_token(refresh)):
        raise record_error("Close's token endpoint", response)
    seconds_left = number_of(member(body, "expires_in"))
    if not seconds_left or seconds_left > _LONGEST_TOKEN:
        seconds_left = _TOKEN_SECONDS
    lifetime = dt.timedelta(seconds=seconds_left)
    return Tokens(str(access), str(refresh or ""), now + lifetime, lifetime)


def _is_token(value: Json) -> bool:
    """Whether a header can carry a value."""
    return isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]{1,8000}", value) is not None


def _is_own_error(body: Json) -> bool:
    """Return whether an error body has a shape that is on record for Close, and nothing beside it.

    These are `{"errors": [text], "field-errors": {field: text}}`, `{"error": text}`, and the old 429 with an object in
    `error`. The schema types 400, 401 and 404 as anything, but whatever a gateway sends would pass as anything, too.
    """
    if not isinstance(body, dict) or not body or not body.keys() <= {"error", "errors", "field-errors"}:
        return False
    error, errors = body.get("error", ""), body.get("errors", [])
    return (
        (isinstance(error, str) or (isinstance(error, dict) and error.keys() <= _OLD_ERROR))
        and isinstance(errors, list)
        and all(isinstance(text, str) for text in errors)
        and isinstance(body.get("field-errors", {}), dict)
    )


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _objects(value: Json) -> list[Record]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _custom_fields(definition: Record) -> list[Field]:
    name = f"custom.{text_of(definition.get('id'))}"
    multiple = definition.get("accepts_multiple_values") is True
    kind = _CUSTOM_KINDS.get(text_of(definition.get("type")), Kind.TEXT)
    field = Field(name, name, kind, multiple=multiple)
    if not multiple:
        return [field]
    return [
        field,
        *(Field(name + suffix, name + suffix, kind, clearable=False, partial=True) for suffix in _ONE_OF_MANY),
    ]


def _stage(field: Field, label: str, catalogue: Catalogue) -> Stage:
    """Find a stage by id or by `Pipeline/Label`, or by its label alone where the organization has one pipeline.

    With several pipelines a label alone could move a deal into another one: a row does not tell in which its deal is.
    """
    wanted = label.strip()
    found = [stage for stage in catalogue.stages if wanted in (stage.id, f"{stage.pipeline}/{stage.label}")]
    labelled = [] if found else [stage for stage in catalogue.stages if stage.label == wanted]
    several = len({(stage.pipeline_id, stage.pipeline) for stage in catalogue.stages}) > 1
    found = found or ([] if several else labelled)
    if len(found) == 1:
        return found[0]
    if labelled and several:
        problem = "names no pipeline, and this organization has several; write"
    else:
        problem = "stands for several stages; write one of" if found else "is no stage of this organization; it has"
    # Those that come close would tell what a hidden value is.
    candidates = catalogue.stages if field.personal else found or labelled or catalogue.stages
    choices = " or ".join(f"{stage.pipeline}/{stage.label} ({stage.id})" for stage in candidates)
    msg = f"stage {shown_value(field, wanted)} {problem} {choices}."
    raise InvalidValueError(msg, vendor="close", code="STAGE", field_errors={"stage": problem})


def _check_currency(field: Field, value: FieldValue, catalogue: Catalogue) -> None:
    if value != catalogue.currency:
        msg = (
            f"deal_currency is {HIDDEN if field.personal else value}, and this Close organization keeps all values in "
            f"{catalogue.currency or 'an unknown currency'}; convert the value in the query."
        )
        raise InvalidValueError(msg, vendor="close", code="CURRENCY", field_errors={"deal_currency": msg})


def _check_decimals(catalogue: Catalogue) -> None:
    if catalogue.currency in _NOT_TWO_DECIMALS:
        msg = (
            f"This Close organization counts in {catalogue.currency}, whose minor unit is not documented by Close. "
            "Map the column to 'value' instead and give it in Close's own integer unit."
        )
        raise ConfigurationError(msg, vendor="close", code="MINOR_UNIT")


def _shows(record: Record, key: str, sent: FieldValue) -> bool:
    name, dot, suffix = key.rpartition(".")
    if dot + suffix in _ONE_OF_MANY:
        held = any(same_value(sent, item) for item in _list(record.get(name)))
        return held is (suffix == "add")
    return same_value(sent, record.get(key))


def _shows_some_user(record: Record, key: str, sent: FieldValue) -> bool:
    """A custom user field takes an exact name and answers the id, so an echo can only tell that somebody was set."""
    is_name = isinstance(sent, str) and not sent.startswith("user_")
    return key.startswith("custom.") and is_name and text_of(record.get(key)).startswith("user_")


def _field_errors(value: Json, prefix: str = "") -> dict[str, str]:
    """Flatten nested field errors into `outer.inner: message`."""
    errors: dict[str, str] = {}
    for name, told in value.items() if isinstance(value, dict) else ():
        if isinstance(told, dict):
            errors.update(_field_errors(told, f"{prefix}{name}."))
        else:
            errors[prefix + name] = (
                "; ".join(text_of(item) for item in told) if isinstance(told, list) else text_of(told)
            )
    return errors


VENDOR = Close()
