"""Takes secrets out of answers before they are read, so that no part of one is left where a text is cut."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import requests

from airflow_provider_crm.vendors.answers import body_of

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.records import Json

_HIDDEN = "***"


def hidden(text: str, secrets: Sequence[str]) -> str:
    """A text without the secrets."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def redacted(response: requests.Response, secrets: Sequence[str]) -> requests.Response:
    """An answer without the secrets: in its headers, and in the texts of its body however JSON may spell them."""
    body = body_of(response)
    content = response.content
    if body is not None:
        content = json.dumps(_without(body, secrets)).encode()
    for secret in secrets:
        content = content.replace(secret.encode(), _HIDDEN.encode())
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
