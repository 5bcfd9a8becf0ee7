"""Test the parts of plans: verdicts of vendors, pages that are worth reading, a store on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest
import requests
import sqlalchemy as sa

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import plan_rows, plans
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.plan.reads import PlanReads
from airflow_provider_crm.plan.records import RecordReader
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.plan.store import PlanStore
from airflow_provider_crm.plan.stored_plan import Plan, PlanDigest
from airflow_provider_crm.plan.summary import PlanSummary
from airflow_provider_crm.values.opportunity import Field, Kind, Update
from airflow_provider_crm.values.record_ids import TemporaryIdTable
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.amounts import amount_of, money_fields
from airflow_provider_crm.vendors.comparison import matching_keys, still_shows, stored_values
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CLOSE = VENDORS["close"]
RAZE = VENDORS["raze"]
SCHEMA = {
    "fields": [
        {"id": "cf_owner", "type": "user"},
        {"id": "cf_seen", "type": "datetime"},
        {"id": "cf_tags", "type": "text", "accepts_multiple_values": True},
    ]
}
CATALOGUE = CLOSE.catalogue([{"organizations": [{"id": "orga", "currency": "USD"}]}, SCHEMA], {})


@pytest.fixture
def store(any_database):
    """Return an empty store."""
    engine = sa.create_engine(any_database)
    made = PlanStore(Database(engine))
    made.engine = engine
    Database(engine).open()
    yield made
    engine.dispose()


@pytest.fixture
def session(crm_sandbox):
    """Return a session with Close."""
    account = Account(CLOSE, crm_sandbox.url, Credentials(crm_sandbox.close.api_key))
    with Session(account) as opened:
        yield opened


def rows(count):
    """Return plan rows of that many records, two fields each."""
    return [
        PlanRow(number, f"oppo_{number}", field, PlanVerdict.UPDATE, before="1", after=str(number), as_of=DAY)
        for number in range(count)
        for field in ("note", "value")
    ]


def save(store, planned, **arguments):
    """Store a plan."""
    return store.save(planned, account="close:test:orga", run_key="dag/plan/run", now=DAY, **arguments)


def test_a_stored_plan_comes_back_as_it_was(store):
    """Rows, order and header survive the database, beyond the size of one batch."""
    planned = rows(1_200)
    plan = save(store, planned)
    assert [row for batch in store.rows(store.load(plan.plan_id)) for row in batch] == planned
    assert store.load(plan.plan_id) == plan
    assert (plan.rows, plan.counts["update"]) == (1_200, 2_400)
    with store.copy(plan, plan.digest) as copied:
        assert [row for batch in copied for row in batch] == planned


def test_a_plan_is_stored_as_a_whole_or_not_at_all(store):
    """If the rows break off, nothing of the plan is in the database."""

    def broken():
        yield from rows(600)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save(store, broken())
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(plan_rows)).scalar_one() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(plans)).scalar_one() == 0


@pytest.mark.parametrize("column", ["record_id", "verdict", "before", "after", "as_of", "code"])
def test_the_digest_covers_everything_that_is_written(store, column):
    """A change of any column that is written, or of the account, is noticed."""
    plan = save(store, rows(3))
    values = {"verdict": "conflict", "as_of": DAY + dt.timedelta(seconds=1)}
    with store.engine.begin() as connection:
        one = (plan_rows.c.row_number == 1) & (plan_rows.c.field == "value")
        connection.execute(sa.update(plan_rows).where(one).values({column: values.get(column, "2")}))
    with pytest.raises(ConfigurationError, match=r"is not the one that was approved"):
        store.copy(plan, plan.digest)


def test_a_digest_is_the_same_for_the_same_rows():
    """The zone in which a data time is written does not matter; the account does."""
    east = dt.timezone(dt.timedelta(hours=5, minutes=45))

    def digest(account, as_of):
        made = PlanDigest(account)
        made.add(PlanRow(0, "oppo_1", "value", PlanVerdict.UPDATE, after="1", as_of=as_of))
        return made.text()

    assert digest("a", DAY) == digest("a", DAY.astimezone(east))
    assert digest("a", DAY) != digest("b", DAY)


def test_of_two_runs_one_applies_a_plan(store):
    """The first run to begin has it; it may begin again, no other run may."""
    plan = save(store, rows(1))
    store.begin(plan, "first")
    store.begin(plan, "first")
    with pytest.raises(ConfigurationError, match="was applied by first already"):
        store.begin(plan, "second")
    assert store.applied_by("first").plan_id == plan.plan_id
    assert store.applied_by("second") is None


@pytest.mark.parametrize("shown", [12500, 12500.0, "12500", "12500.00"])
def test_a_shown_number_is_the_same_however_it_is_written(shown):
    """Numbers, numbers as text and with zeros at the end are one value."""
    assert stored_values(["value"], {"value": shown}, CLOSE, CATALOGUE) == {"value": "12500"}
    assert still_shows("value", "12500", {"value": shown}, CLOSE, CATALOGUE)
    assert not still_shows("value", "12501", {"value": shown}, CLOSE, CATALOGUE)


@pytest.mark.parametrize(
    ("shown", "text", "is_shown"),
    [
        ("plain", '"plain"', True),
        ('ü "x"', '"\\u00fc \\"x\\""', True),
        ("plain", '"other"', False),
        (None, '"plain"', False),
        ("plain", "null", False),
    ],
)
def test_a_record_shows_a_text_or_does_not(shown, text, is_shown):
    """A text is compared as it is stored; one that was cleared since, or set since, is not shown any more."""
    assert still_shows("note", text, {"note": shown}, CLOSE, CATALOGUE) is is_shown


@pytest.mark.parametrize(
    ("shown", "text", "matches"),
    [(True, "true", True), ("True", "true", True), (False, "false", False), (None, "null", False)],
)
def test_a_shown_boolean_is_the_same_however_it_is_written(shown, text, matches):
    """`true` and the text of it are one value, which a plan keeps as JSON and shows as it is."""
    flag = Field("custom.cf_flag", "custom.cf_flag", Kind.BOOLEAN)
    catalogue = replace(CATALOGUE, fields={**CATALOGUE.fields, flag.name: flag})
    record = {"id": "oppo_1", flag.name: shown}
    assert stored_values([flag.name], record, CLOSE, catalogue) == {flag.name: text}
    writes = writes_of(Update(0, "oppo_1", {flag.name: True}), CLOSE, catalogue)
    assert [call.body for call in calls_of("oppo_1", writes)] == ['{"custom.cf_flag": true}']
    assert (flag.name in matching_keys(calls_of("oppo_1", writes), record, CLOSE, catalogue)) is matches
    assert still_shows(flag.name, "true", record, CLOSE, catalogue) is matches
    row = PlanRow(0, "oppo_1", flag.name, PlanVerdict.UPDATE, before=text, after="true", as_of=DAY)
    summary = PlanSummary(catalogue)
    summary.add(row)
    plan = Plan("id", "close:test:orga", "run", None, "digest", 1, {"update": 1}, DAY)
    assert f"| {'(empty)' if shown is None else text} | true |" in summary.text(plan).replace("\\", "")


def test_a_custom_field_without_a_key_is_empty_and_an_unknown_key_is_unknown():
    """Close leaves an empty custom field out of a record; a field that Raze leaves out is not known."""
    assert stored_values(["custom.cf_seen"], {"id": "x"}, CLOSE, CATALOGUE) == {"custom.cf_seen": "null"}
    assert stored_values(["deal_value"], {"value": 1}, RAZE, RAZE.catalogue([], {})) == {}


def test_a_users_name_is_never_taken_for_the_id_that_is_shown():
    """A name cannot be compared with an id: it is planned to be written, and is no conflict afterwards either."""
    calls = calls_of("oppo_1", writes_of(Update(0, "oppo_1", {"custom.cf_owner": "Ada"}), CLOSE, CATALOGUE))
    record = {"id": "oppo_1", "custom.cf_owner": "user_grace"}
    assert matching_keys(calls, record, CLOSE, CATALOGUE) == frozenset()
    assert still_shows("custom.cf_owner", '"Ada"', record, CLOSE, CATALOGUE)


def test_the_same_instant_in_another_zone_matches():
    """A point in time is compared as an instant."""
    value = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    calls = calls_of("oppo_1", writes_of(Update(0, "oppo_1", {"custom.cf_seen": value}), CLOSE, CATALOGUE))
    record = {"id": "oppo_1", "custom.cf_seen": "2026-03-01T17:00:00+00:00"}
    assert matching_keys(calls, record, CLOSE, CATALOGUE) == {"custom.cf_seen"}


@pytest.mark.parametrize(("tags", "matches"), [(["a", "b"], True), (["b"], False), (None, False)])
def test_one_of_many_matches_if_the_list_has_it(tags, matches):
    """`.add` is in place if the list shows the value."""
    calls = calls_of("oppo_1", writes_of(Update(0, "oppo_1", {"custom.cf_tags.add": "a"}), CLOSE, CATALOGUE))
    record = {"id": "oppo_1", "custom.cf_tags": tags}
    assert bool(matching_keys(calls, record, CLOSE, CATALOGUE)) is matches


@pytest.mark.parametrize(
    ("vendor", "key", "value", "amount"),
    [
        (CLOSE, "value", 12_345, Decimal("123.45")),
        (CLOSE, "custom.cf_x", 5, None),
        (CLOSE, "value", None, None),
        (RAZE, "deal_value", "123.45", Decimal("123.45")),
        (RAZE, "deal_value", True, None),
        (RAZE, "notes", "5", None),
    ],
)
def test_amounts_are_in_major_units(vendor, key, value, amount):
    """Cents of Close and numbers or text of Raze become the same money."""
    assert amount_of(key, value, money_fields(vendor.documented_fields)) == amount


@pytest.mark.parametrize(("digits", "amount"), [(0, "12345"), (2, "123.45"), (3, "12.345"), (None, None)])
def test_a_field_says_in_which_unit_it_counts(digits, amount):
    """A field of any vendor is money if it names the digits of its minor unit, under the key that is written."""
    fields = money_fields([Field("fee", "fee_minor", Kind.INTEGER, amount_digits=digits), Field("fee_minor", "notes")])
    assert amount_of("fee_minor", 12_345, fields) == (None if amount is None else Decimal(amount))
    assert (amount_of("fee", 12_345, fields), amount_of("notes", 12_345, fields)) == (None, None)


@pytest.mark.parametrize(
    ("vendor", "body", "pages"),
    [
        (CLOSE, {"data": [], "total_results": 201}, 3),
        (CLOSE, {"data": []}, None),
        (RAZE, {"data": {"opportunities": [], "pagination": {"total_pages": 4}}}, 4),
        (RAZE, {"data": [], "pagination": {"total_pages": 4}}, 4),
        (RAZE, {"data": []}, None),
    ],
)
def test_lists_show_how_many_pages_there_are(vendor, body, pages):
    """From whatever the list says about itself; nothing is guessed."""
    assert vendor.parse_page(body, None).pages == pages


@pytest.fixture
def reads():
    """Return the records that a plan has read, in a file of its own."""
    with closing(PlanReads.temporary()) as made:
        yield made


@pytest.mark.parametrize(
    ("stored", "wanted", "calls"),
    [(50, 1, 1), (50, 50, 1), (1_000, 3, 4), (1_000, 30, 10), (1_000, 1_000, 10), (250, 2, 3)],
)
def test_pages_are_read_where_that_is_cheaper(  # noqa: PLR0917 - fixtures
    crm_sandbox, session, reads, stored, wanted, calls
):
    """Never more than one call above the cheaper of both ways: pages of 100, or one call per record."""
    for number in range(stored):
        crm_sandbox.close.add_opportunity(f"oppo_{number:04}", value=number)
    ids = {f"oppo_{number:04}": None for number in range(wanted)}
    with TemporaryIdTable() as rows, RecordReader(session, CATALOGUE, {"value"}, 4, reads) as reader:
        rows.add_last((record_id, 0) for record_id in ids)
        reader.prepare(rows)
        found = reader.get(ids)
    assert [record["value"] for record in found.values()] == list(range(wanted))
    assert len(crm_sandbox.audit.calls) <= calls
    assert len(crm_sandbox.audit.calls) <= min(stored // 100 or 1, wanted) + 1


def test_a_list_that_ends_early_is_completed_one_by_one(crm_sandbox, session, reads):
    """If the vendor refuses a later page, the rest is read one by one."""
    for number in range(300):
        crm_sandbox.close.add_opportunity(f"oppo_{number:03}", value=number)
    crm_sandbox.script(vendor="close", path="/api/v1/opportunity/", faults=[None, "http_400"])
    ids = {f"oppo_{number:03}": None for number in range(300)}
    with TemporaryIdTable() as rows, RecordReader(session, CATALOGUE, {"value"}, 8, reads) as reader:
        rows.add_last((record_id, 0) for record_id in ids)
        reader.prepare(rows)
        assert [record["value"] for record in reader.get(ids).values()] == list(range(300))
    assert len(crm_sandbox.audit.calls) == 2 + 200


def test_a_record_that_is_not_there_is_none(session, reads):
    """A 404 is an answer: there is no such record."""
    with RecordReader(session, CATALOGUE, {"value"}, 2, reads) as reader:
        assert reader.get(["oppo_gone"]) == {"oppo_gone": None}


@pytest.mark.parametrize(("concurrency", "least", "most"), [(1, 1, 1), (4, 4, 4), (64, 16, 64)])
def test_as_many_records_are_read_at_once_as_latency_needs(distant, reads, concurrency, least, most):
    """Reading finds its number of threads as writing does, and keeps their connections from batch to batch."""
    ids = [f"oppo_{number}" for number in range(16 * most)]
    with (
        Session(Account(CLOSE, distant, Credentials("key"))) as opened,
        RecordReader(opened, CATALOGUE, {"note"}, concurrency, reads) as reader,
    ):
        for start in range(0, len(ids), 200):
            batch = ids[start : start + 200]
            assert list(reader.get(batch)) == batch
        seen = requests.get(f"{distant}/connections", timeout=10).json()
    asked = 1  # the connection of the question itself
    assert least <= seen["at_once"] <= seen["opened"] - asked <= most
    assert [thread for thread in threading.enumerate() if thread.name.startswith("crm-read")] == []


def test_a_summary_without_changes_says_so(store):
    """A plan in which nothing is to be done has no table."""
    text = PlanSummary(CATALOGUE).text(save(store, []))
    assert "nothing to do" in text
    assert "|" not in text.replace("`", "")


def test_a_spool_gives_back_what_was_put_in():
    """In order, as often as wanted, without a file that stays behind."""
    updates = [Update(number, f"oppo_{number}", {"deal_value": Decimal("1.10")}, DAY) for number in range(1_000)]
    with Spool(updates) as spool:
        assert len(spool) == 1_000
        assert list(spool) == list(spool) == updates
