"""Catalogues, records and answers made by hand, for what Batchly's vendors do without a server."""

from __future__ import annotations

import json

import requests

from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.encoding import calls_of, writes_of
from tests.fake.properties import PROPERTIES, STAGE_PROPERTIES, describe_pipelines
from tests.fake.vendor import BATCHLY_FLAT

ACCOUNT = {"accountId": 4711, "timeZone": "America/New_York", "currencies": ["USD", "EUR"]}


def catalogue_of(vendor, time_zone="America/New_York"):
    """Return the catalogue of an account in a time zone."""
    schema = {"results": [one.describe() for one in (*PROPERTIES, *STAGE_PROPERTIES)]}
    parts = [ACCOUNT | {"timeZone": time_zone}, {"results": describe_pipelines()}, schema]
    return vendor.catalogue([*parts[:1], *parts[2:]] if vendor is BATCHLY_FLAT else parts, {})


def answer_of(body=None, status=200, headers=None):
    """Return an answer made by hand; without a body an empty one."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    response._content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return response


def written(vendor, name, value):
    """Return the properties that the single call for one field has, and the values that are compared."""
    catalogue = catalogue_of(vendor)
    (call,) = calls_of("70001", writes_of(Update(0, "70001", {name: value}), vendor, catalogue))
    return json.loads(call.body)["properties"], call.writes


def record(**properties):
    """Return a record as the API shows it."""
    return {"id": "70001", "properties": properties}
