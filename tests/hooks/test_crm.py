"""The hooks on a sandbox over real HTTP: test connection, read, list, write."""

from __future__ import annotations

import datetime as dt
import json
import socket
import subprocess
import sys

import pytest

from airflow_provider_crm.exceptions import (
    ConfigurationError,
    IgnoredError,
    InvalidValueError,
    RejectedError,
    UnknownFieldError,
)
from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.raze import RazeHook

VENDORS = ("close", "raze")


@pytest.fixture
def sandbox(crm_sandbox):
    """A sandbox with 250 opportunities of each vendor, every fifth of them won."""
    for row in range(250):
        won = row % 5 == 0
        status = "stat_sales_won" if won else "stat_sales_active"
        crm_sandbox.close.add_opportunity(f"oppo_{row}", value=row, status_id=status)
        crm_sandbox.raze.add_opportunity(f"opp_{row}", deal_value=row, status="won" if won else "new")
    return crm_sandbox


@pytest.fixture
def hook(crm_sandbox, monkeypatch):
    """The hook of a connection to the sandbox, with some fields changed."""

    def hook(vendor, **changes):
        own = {"conn_type": vendor, "password": getattr(crm_sandbox, vendor).api_key, "host": crm_sandbox.url}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(own | changes))
        return CrmHook.for_connection("crm")

    return hook


def closed_port():
    """An origin where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


# Test connection


@pytest.mark.parametrize(
    ("vendor", "text"),
    [
        ("close", "Connected to Close, organization orga_sandbox (USD)."),
        ("raze", "Connected to Raze. The key may read opportunities."),
    ],
)
def test_a_good_connection(hook, crm_sandbox, vendor, text):
    """A connection that works says what it leads to, with one call that writes nothing."""
    assert hook(vendor).test_connection() == (True, text)
    assert [call.method for call in crm_sandbox.audit.calls] == ["GET"]


def test_a_bearer_token(hook, crm_sandbox):
    """A token that is valid connects; once it has expired it does not."""
    made = hook("close", password=None, extra={"access_token": crm_sandbox.close.oauth.access_token})
    assert made.test_connection()[0] is True
    crm_sandbox.close.oauth.expire()
    assert made.test_connection() == (False, "Close answered 401: Unauthorized.")


def test_a_write_only_key(hook, crm_sandbox):
    """A Raze key that may only write is a good key, and that is what is said."""
    key = crm_sandbox.raze.add_key(["opportunities:write"])
    assert hook("raze", password=key).test_connection() == (
        True,
        "Connected to Raze. The key may not read opportunities; updates need only opportunities:write.",
    )


@pytest.mark.parametrize(
    ("vendor", "text"),
    [
        ("close", "Close answered 401: Unauthorized."),
        ("raze", "Raze answered 401 INVALID_API_KEY: The API key is not valid."),
    ],
)
def test_a_wrong_key(hook, vendor, text):
    """A wrong key is reported in the vendor's own words."""
    assert hook(vendor, password="wrong").test_connection() == (False, text)


@pytest.mark.parametrize(("as_invalid", "code"), [(False, "EXPIRED_API_KEY"), (True, "INVALID_API_KEY")])
def test_an_expired_key(hook, crm_sandbox, as_invalid, code):
    """An expired key does not connect, by the documented code and by the published server's."""
    crm_sandbox.set(raze_expired_is_invalid=as_invalid)
    key = crm_sandbox.raze.add_key(expires_at=crm_sandbox.clock.now() - dt.timedelta(seconds=1))
    assert hook("raze", password=key).test_connection() == (
        False,
        f"Raze answered 401 {code}: The API key has expired.",
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_unreachable_host(hook, vendor):
    """A host that cannot be reached is reported at once, without further attempts."""
    origin = closed_port()
    assert hook(vendor, host=origin).test_connection() == (
        False,
        f"{origin} cannot be reached. Check the connection's host and the network.",
    )


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "fault", ["html_200", "html_404", "html_403", "html_502", "http_404", "http_500", "redirect_302"]
)
def test_a_host_that_is_another(hook, crm_sandbox, vendor, fault):
    """A page, an error or a redirect instead of the API is no connection, whatever its status."""
    crm_sandbox.script(faults=[fault])
    good, text = hook(vendor).test_connection()
    assert (good, bool(text)) == (False, True)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_connection(hook, vendor):
    """A mistake in the connection itself is reported without any call."""
    good, text = hook(vendor, password="", host="https://").test_connection()
    assert (good, "API key is missing" in text, "write an origin" in text) == (False, True, True)


# Reading


@pytest.mark.parametrize(("vendor", "record_id"), [("close", "oppo_7"), ("raze", "opp_7")])
def test_get_opportunity(hook, sandbox, vendor, record_id):
    """One record, as the vendor shows it."""
    record = hook(vendor).get_opportunity(record_id)
    stored = getattr(sandbox, vendor).opportunity(record_id)
    assert (record["id"], record.keys()) == (record_id, stored.keys())


@pytest.mark.parametrize("vendor", VENDORS)
def test_get_opportunity_that_is_not_there(hook, crm_sandbox, vendor):
    """An id that does not exist is a rejection with the id in it."""
    with pytest.raises(RejectedError) as missing:
        hook(vendor).get_opportunity("none")
    assert (missing.value.status, missing.value.record_id) == (404, "none")


@pytest.mark.parametrize("vendor", VENDORS)
def test_list_opportunities_over_all_pages(hook, sandbox, vendor):
    """All 250 records come, each once, over three pages of 100; and page by page, not all ahead."""
    listed = hook(vendor).list_opportunities()
    first = next(listed)
    assert sandbox.audit.count(vendor, "GET") == 1
    ids = [first["id"], *(record["id"] for record in listed)]
    assert (len(ids), len(set(ids)), sandbox.audit.count(vendor, "GET")) == (250, 250, 3)


def test_list_opportunities_of_the_published_raze_server(hook, sandbox):
    """The list with its pagination at the top level is read as well, to its end."""
    sandbox.set(raze_top_level_pagination=True)
    assert len({record["id"] for record in hook("raze").list_opportunities()}) == 250


@pytest.mark.parametrize(
    ("vendor", "filters", "query"),
    [
        ("close", {"status_type": "won"}, {"status_type": "won"}),
        (
            "close",
            {"status_id__in": ["stat_sales_won", "stat_sales_lost"]},
            {"status_id__in": "stat_sales_won,stat_sales_lost"},
        ),
        ("raze", {"status": "won"}, {"status": "won"}),
    ],
)
def test_list_opportunities_with_filters(hook, sandbox, vendor, filters, query):
    """Filters are the vendor's own; a list is joined by commas; they apply to every page."""
    records = list(hook(vendor).list_opportunities(**filters))
    assert len(records) == 50
    assert all(query.items() <= dict(call.query).items() for call in sandbox.audit.calls)


def test_a_boolean_filter(hook, sandbox):
    """A boolean filter is written as JSON would."""
    list(hook("close").list_opportunities(is_stalled=True))
    assert sandbox.audit.calls[0].query["is_stalled"] == "true"


@pytest.mark.parametrize("vendor", VENDORS)
def test_list_opportunities_survives_a_fault_on_a_page(hook, sandbox, vendor):
    """A page that fails once is asked for again, and no record is missing or doubled."""
    sandbox.script(faults=[None, "http_503", "truncated"])
    ids = [record["id"] for record in hook(vendor).list_opportunities()]
    assert (len(ids), len(set(ids))) == (250, 250)


@pytest.mark.parametrize(("vendor", "column"), [("close", "value"), ("raze", "deal_value")])
def test_get_df(hook, sandbox, vendor, column):
    """The list as a frame: one row per opportunity, columns as the vendor names them."""
    frame = hook(vendor).get_df()
    assert (len(frame), frame["id"].is_unique, frame[column].sum()) == (250, True, sum(range(250)))


def test_get_df_of_nothing(hook, crm_sandbox):
    """No opportunity is an empty frame."""
    assert hook("close").get_df().empty


def test_importing_the_hooks_imports_no_pandas():
    """The import of pandas is made by `get_df` alone."""
    code = (
        "import sys, airflow_provider_crm.hooks.close, airflow_provider_crm.hooks.raze; print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


# Writing


@pytest.mark.parametrize(
    ("vendor", "record_id", "shown"), [("close", "oppo_1", {"value": 1234}), ("raze", "opp_1", {"deal_value": 12.34})]
)
def test_update_opportunity(hook, sandbox, vendor, record_id, shown):
    """Canonical fields reach both vendors; the record after the update comes back."""
    record = hook(vendor).update_opportunity(record_id, {"deal_value": "12.34", "notes": "x"})
    assert {name: record[name] for name in shown} == shown


def test_update_opportunity_with_a_stage_merges_both_answers(hook, sandbox):
    """A Raze update of two calls returns what both answers show."""
    record = hook("raze").update_opportunity("opp_1", {"stage": "won", "notes": "x"})
    assert (record["notes"], record["status"], bool(record["won_at"])) == ("x", "won", True)


def test_update_opportunity_of_nothing_is_a_read(hook, sandbox):
    """Without anything to write the record is read."""
    made = hook("close")
    assert made.update_opportunity("oppo_1", {"deal_currency": "USD"})["id"] == "oppo_1"
    assert sandbox.audit.writes == []


def test_update_opportunity_reads_dates_in_the_connections_zone(hook, sandbox):
    """The connection's zone applies unless the call names another."""
    made = hook("close", extra={"timezone": "America/New_York"})
    moment = dt.datetime(2026, 3, 2, 3, tzinfo=dt.UTC)
    days = [
        made.update_opportunity("oppo_1", {"date_won": moment})["date_won"],
        made.update_opportunity("oppo_1", {"date_won": moment}, timezone="Asia/Kolkata")["date_won"],
    ]
    assert days == ["2026-03-01", "2026-03-02"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_update_opportunity_without_any_zone(hook, sandbox, vendor):
    """Without a zone a point in time cannot be cut to a date; the error names the remedy."""
    fields = {"close": {"date_won": "2026-03-02T03:00:00Z"}, "raze": {"date_won": "2026-03-02"}}[vendor]
    error = {"close": InvalidValueError, "raze": UnknownFieldError}[vendor]
    with pytest.raises(error, match={"close": "timezone='Area/City'", "raze": "stamps won_at"}[vendor]):
        hook(vendor).update_opportunity("oppo_1", fields)
    assert sandbox.audit.writes == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_update_opportunity_with_an_unknown_field(hook, sandbox, vendor):
    """An unknown field is an error before anything is written."""
    with pytest.raises(UnknownFieldError, match="'dealvalue'"):
        hook(vendor).update_opportunity("x", {"dealvalue": 1})
    assert sandbox.audit.writes == []


@pytest.mark.parametrize(("vendor", "record_id"), [("close", "oppo_1"), ("raze", "opp_1")])
def test_update_opportunity_that_is_ignored(hook, sandbox, vendor, record_id):
    """A 2xx that shows another value is an error, not a success."""
    sandbox.set(ignored_ids=frozenset({record_id}))
    with pytest.raises(IgnoredError):
        hook(vendor).update_opportunity(record_id, {"notes": "x"})


def test_update_stage(hook, sandbox):
    """`update_stage` is the PATCH alone, and returns what Raze shows of the record."""
    record = hook("raze").update_stage("opp_1", "qualified")
    assert [(call.method, call.body) for call in sandbox.audit.calls] == [("PATCH", {"status": "qualified"})]
    assert sorted(record) == ["id", "name", "status", "updated_at", "won_at"]


def test_get_conn(hook, sandbox):
    """`get_conn()` is the authenticated session: any endpoint of the vendor can be called with it."""
    made = hook("close")
    answer = made.get_conn().get(made.base_url + "/api/v1/status/opportunity/")
    assert (answer.status_code, len(answer.json()["data"])) == (200, 7)


@pytest.mark.parametrize("hook_class", [CloseHook, RazeHook])
def test_hooks_on_their_default_connection(crm_sandbox, hook_class):
    """A hook without arguments uses its default connection."""
    assert hook_class().test_connection()[0] is True


def test_a_task_specific_wrong_set_up_is_a_configuration_error(hook, crm_sandbox):
    """A key that is refused while the catalogue is read ends with the error that says to stop."""
    with pytest.raises(ConfigurationError):
        hook("close", password="wrong").update_opportunity("oppo_1", {"notes": "x"})
