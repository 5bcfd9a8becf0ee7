"""Wrong input of each kind: one exact sentence that says what to write instead, and nothing is written."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException

TOLERANCE = (
    "max_rejected is {}; write a count such as 10 (a whole number: 1 is one row), or a fraction below 1 such as 0.01."
)
GOOD = [{"id": "oppo_0", "arr": 1}]


@pytest.fixture
def refused(crm_sandbox, update):
    """Run the operator and return the message with which it fails for good, having written nothing."""
    crm_sandbox.close.add_opportunity("oppo_0")

    def run(data=GOOD, **arguments):
        result = update(data, **arguments)
        assert isinstance(result.error, AirflowFailException), result.error
        assert crm_sandbox.audit.writes == []
        return str(result.error)

    return run


def test_a_missing_column_is_named_with_what_there_is(refused):
    """The message names the column, the columns there are, and a close match."""
    message = refused([{"id": "oppo_0", "arr_usd": 1}])
    assert message == "The data has no column 'arr' (did you mean 'arr_usd'?); its columns are: id, arr_usd."


def test_an_unknown_field_is_named_with_what_there_is(refused):
    """The message lists the fields that may be written."""
    assert refused(fields={"arr": "amount"}) == (
        "Close has no writable field 'amount'; write one of deal_value, deal_currency, stage, notes, "
        "responsible_user_id, date_won, value, value_period, status_id, note, user_id, confidence, contact_id, "
        "or custom.<field id>."
    )


def test_raze_says_why_it_has_no_won_date(refused):
    """`date_won` is a canonical field that Raze cannot write; the message says what to do."""
    assert refused(fields={"arr": "date_won"}, crm_conn_id="raze_default") == (
        "Raze has no writable 'date_won': its server stamps won_at when the stage becomes won; leave it out."
    )


def test_two_columns_for_one_field_are_refused(refused):
    """Two columns that would overwrite each other in the CRM are named."""
    message = refused([{"id": "oppo_0", "arr": 1, "cents": 2}], fields={"arr": "deal_value", "cents": "value"})
    assert message == "columns 'arr' and 'cents' both write Close's 'value'; keep one of them."


def test_a_bad_zone_is_named(refused):
    """A zone that the IANA database does not have is refused with an example."""
    assert refused(timezone="EST/Nowhere") == (
        "timezone 'EST/Nowhere' is not in the IANA zone database; write one such as 'America/New_York' or 'UTC'."
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            {"rounding": "bankers"},
            "rounding is 'bankers'; write one of half-even, half-up, half-down, up, down, ceiling, floor, refuse.",
        ),
        ({"nulls": "drop"}, "nulls is 'drop'; write one of skip, clear, error."),
        ({"on_duplicate": "first"}, "on_duplicate is 'first'; write one of error, last."),
        (
            {"max_rejected": -1},
            TOLERANCE.format(-1),
        ),
        (
            {"max_rejected": 1.5},
            TOLERANCE.format(1.5),
        ),
        ({"concurrency": 0}, "concurrency is 0; write a whole number from 1 to 64."),
        ({"date_won_default": "now"}, "date_won_default is 'now'; write 'server' or 'as_of', or leave it out."),
        ({"rejects_path": "x.txt"}, "rejects_path is 'x.txt'; let it end in .csv, .jsonl or .parquet."),
    ],
)
def test_a_wrong_argument_says_what_to_write(refused, argument, message):
    """Each argument is checked before the first call."""
    assert refused(**argument) == message


def test_an_empty_frame_is_no_error(crm_sandbox, update, capsys):
    """A query without rows is an ordinary day: the task says so in log and report, and ends green."""
    for data in ([], pd.DataFrame({"id": [], "arr": []})):
        run = update(data)
        assert run.error is None
        assert run.report["rows"] == 0
        assert run.report["warnings"] == ["Nothing to write: 0 rows."]
    assert "Nothing to write: 0 rows." in capsys.readouterr().out


def test_an_empty_frame_without_the_column_is_one(refused):
    """A frame without rows that lacks a mapped column is still a mistake."""
    assert refused(pd.DataFrame({"id": []})) == "The data has no column 'arr'; its columns are: id."


def test_a_connection_of_another_type_is_refused(refused, monkeypatch):
    """The message names the type there is and the types that fit."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "http", "host": "example.com"}))
    assert refused(crm_conn_id="other") == (
        "Connection 'other' is of type 'http': an opportunity can be written to a connection of type close, raze, "
        "hubspot or crm_salesforce."
    )


def test_a_missing_connection_is_named(refused):
    """A connection id that is not defined."""
    assert refused(crm_conn_id="nowhere") == (
        "There is no connection 'nowhere'; create one of type close, raze, hubspot or crm_salesforce, or set "
        "AIRFLOW_CONN_NOWHERE."
    )


def test_an_unreachable_host_is_named_and_retried(crm_sandbox, update, monkeypatch):
    """A host without a server may be back later: the message names it, and Airflow retries."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_CLOSED", json.dumps({"conn_type": "close", "password": "api_key", "host": "http://127.0.0.1:9"})
    )
    run = update(GOOD, crm_conn_id="closed")
    assert not isinstance(run.error, AirflowFailException)
    assert str(run.error) == "http://127.0.0.1:9 cannot be reached. Check the connection's host and the network."


def test_an_expired_key_is_reported_in_the_words_of_the_vendor(crm_sandbox, refused, monkeypatch):
    """Raze's code for an expired key is in the message."""
    key = crm_sandbox.raze.add_key(permissions=["opportunities:write"], expires_at=crm_sandbox.clock.now())
    monkeypatch.setenv("AIRFLOW_CONN_OLD", json.dumps({"conn_type": "raze", "password": key, "host": crm_sandbox.url}))
    message = refused(crm_conn_id="old")
    assert "Raze answered 401 EXPIRED_API_KEY" in message
    assert message.endswith("Check the key in connection 'old'.")
    assert key not in message


def test_an_unknown_key_names_the_connection_to_look_at(crm_sandbox, refused, monkeypatch):
    """Close's own text about a wrong key says little; the message names where to look."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG", json.dumps({"conn_type": "close", "password": "api_wrong", "host": crm_sandbox.url})
    )
    message = refused(crm_conn_id="wrong")
    assert message == "Close answered 401: Unauthorized. Check the key in connection 'wrong'."


def test_data_of_a_wrong_kind_is_refused(refused):
    """The message lists the types that `data` may have."""
    assert refused(data=42).startswith("data is a int; pass a pandas DataFrame, a list of dicts, a polars DataFrame")


def test_a_missing_file_is_named(crm_sandbox, update, tmp_path):
    """A path that does not exist, or not yet: the task's retry looks again."""
    error = update(str(tmp_path / "deals.parquet")).error
    assert f"There is no file '{tmp_path / 'deals.parquet'}'" in str(error)
    assert not isinstance(error, AirflowFailException)
    assert crm_sandbox.audit.writes == []


def test_a_path_on_an_unknown_store_is_refused(refused, tmp_path):
    """A scheme that no filesystem answers to, for the data or for the rejects, and a folder that is a file."""
    message = "The path 'nowhere://deals.csv' cannot be opened: Unsupported filesystem: 'nowhere'."
    assert refused("nowhere://deals.csv") == message
    assert refused(rejects_path="nowhere://deals.csv") == message
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "rejects.csv")
    assert refused(rejects_path=path).startswith(f"rejects_path {path!r} cannot be written: ")


def test_a_naive_time_without_a_zone_is_refused(crm_sandbox, update, monkeypatch):
    """Which date a point in time is depends on a zone; without one the row is invalid and says how to name it."""
    connection = json.loads(crm_sandbox.connection_uris()["close_default"]) | {"extra": {}}
    monkeypatch.setenv("AIRFLOW_CONN_CLOSE_DEFAULT", json.dumps(connection))
    run = update([{"id": "oppo_0", "won": "2026-03-07 23:30:00"}], fields={"won": "date_won"})
    assert run.rejects == {"oppo_0": ("invalid", "NO_TIMEZONE")}
    assert "pass timezone='Area/City' or cast the column to a date" in run.report["rejects"][0]["reason"]
