"""Take secrets out of answers before they are read, so that no part of one is left where a text is cut."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import requests

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.values.hidden_values import sent_values, without_values
from airflow_provider_crm.values.url_credentials import HIDDEN_SECRET, bytes_without_credentials, without_credentials
from airflow_provider_crm.vendors.answers import body_of
from airflow_provider_crm.vendors.calls import JSON

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.records import Json

_T = TypeVar("_T")


class Redactor:
    """The secrets and hidden values of one account, which are taken out of answers and errors.

    Args:
        account: The account.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._hidden: frozenset[str] = frozenset()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret of the account; longer ones first, because one may be a part of another."""
        fetched = self._account.tokens.secrets if self._account.tokens is not None else ()
        return tuple(sorted({*self._account.credentials.secrets(), *fetched}, key=len, reverse=True))

    def hide(self, keys: frozenset[str]) -> None:
        """Hide the values of more fields from now on."""
        self._hidden |= keys

    def read(self, read: Callable[[requests.Response], _T], answer: requests.Response) -> _T:
        """Read an answer; if it shows a failure, read it again without the secrets that it may repeat.

        Raises:
            CrmError: The failure.
        """
        try:
            return read(answer)
        except CrmError:
            pass
        return read(redacted(answer, self.secrets))

    def redact(self, err: CrmError, record_id: str | None, call: Call | None = None) -> None:
        """Take secrets and hidden values out of an error, and fill in vendor and record.

        Args:
            err: The error, which may repeat text of the vendor's.
            record_id: The opportunity.
            call: The call; the values of hidden fields that it sent are taken out.
        """
        secrets = self.secrets
        text = hidden(str(err), secrets)
        err.field_errors = {name: hidden(message, secrets) for name, message in err.field_errors.items()}
        err.code = hidden(err.code, secrets)
        body = call.body if call is not None and call.content_type == JSON else None  # a file has no hidden fields
        if values := sent_values(body, self._hidden):
            text = without_values(text, values)
            err.field_errors = {name: without_values(message, values) for name, message in err.field_errors.items()}
            err.code = without_values(err.code, values) if err.status is not None else err.code
        err.args = (text,)
        err.vendor = err.vendor or self._account.vendor.name
        err.record_id = err.record_id or record_id


def hidden(text: str, secrets: Sequence[str]) -> str:
    """Return a text without the secrets, and without the user and password of any address."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN_SECRET)
    return without_credentials(text)


def redacted(response: requests.Response, secrets: Sequence[str]) -> requests.Response:
    """Return an answer without the secrets in its headers and body, in whatever spelling JSON has for them."""
    body = body_of(response)
    content = response.content
    if body is not None:
        content = json.dumps(_without(body, secrets)).encode()
    for secret in secrets:
        content = content.replace(secret.encode(), HIDDEN_SECRET.encode())
    content = bytes_without_credentials(content)
    copy = requests.Response()
    copy.status_code, copy.reason, copy.url = response.status_code, response.reason, response.url
    copy.encoding = response.encoding if body is None else "utf-8"
    copy.headers.update({name: hidden(value, secrets) for name, value in response.headers.items()})
    copy.raw = io.BytesIO(content)
    return copy


def _without(value: Json, secrets: Sequence[str]) -> Json:
    if isinstance(value, str):
        return hidden(value, secrets)
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, dict):
        return {hidden(key, secrets): _without(item, secrets) for key, item in value.items()}
    return value
