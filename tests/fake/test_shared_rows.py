"""How rows that share calls are compared with less work, and that it finds the same."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push import claiming
from airflow_provider_crm.push.in_flight import _most, _size
from airflow_provider_crm.push.prepare import Job
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.comparison import repeated
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.encoding import calls_of, writes_of
from tests.fake.by_hand import catalogue_of
from tests.fake.test_work import Echo
from tests.fake.vendor import BATCHLY, Batchly

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def call_for(**fields):
    """Return the call that writes some fields of the record 70001."""
    update = Update(0, "70001", fields)
    (call,) = calls_of("70001", writes_of(update, BATCHLY, catalogue_of(BATCHLY)))
    return call


@pytest.mark.parametrize(
    ("record_id", "shown", "known"),
    [
        ("70001", {"name": "A", "description": "b"}, True),
        ("70001", {"name": "A", "description": "b", "amount": "1"}, True),
        ("70001", {"name": "A", "description": "B"}, False),
        ("70001", {"name": "A"}, False),
        ("70001", None, False),
        ("070001", {"name": "A", "description": "b"}, False),
    ],
)
def test_a_record_that_repeats_what_was_sent_needs_no_closer_look(record_id, shown, known):
    """It shows the very id and texts; whatever else it shows, and any other spelling, the vendor is asked about."""
    record = {"id": record_id, "properties": shown}
    assert repeated([call_for(name="A", notes="b")], ["70001"], [record], BATCHLY) == [known]


@pytest.mark.parametrize("sent", ["true", "1", "1.0", "null", '["a"]'])
def test_only_texts_are_known_to_repeat(sent):
    """JSON has one way to write a text; true is no 1, although Python finds them equal."""
    call = call_for(name="A")._replace(body=f'{{"properties": {{"name": {sent}}}}}')
    records = [{"id": "70001", "properties": {"name": value}} for value in (True, 1, None, ["a"])]
    assert repeated([call] * 4, ["70001"] * 4, records, BATCHLY) == [False] * 4


class Asked(Batchly):
    """Batchly, which notes what it is asked to compare."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def shows(self, key, sent, record, catalogue, *, echo):
        """Note the record."""
        self.asked.append(record["id"])
        return super().shows(key, sent, record, catalogue, echo=echo)


class Forgetful(Echo):
    """A server that drops a value."""

    def send(self, request, **arguments):
        """Show another note for one record."""
        answer = super().send(request, **arguments)
        answer._content = answer.content.replace(b'"note 7"', b'"other"')
        return answer


@pytest.fixture
def run(tmp_path):
    """Push notes by record, and return the word of each record."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")

    def run(notes, vendor=BATCHLY, server=None):
        names = {"account": "batchly:shared", "run_key": "run"}
        ledger = Ledger(Database(engine), combine=combined, lease=90.0, clock=Clock(), **names)
        ledger.open(DAY)
        updates = [Update(row, one, {"notes": note}, DAY) for row, (one, note) in enumerate(notes.items())]
        with Session(Account(vendor, "http://127.0.0.1:1", Credentials("key"))) as session:
            session.http.mount("http://", server or Echo())
            push = Push(session, catalogue_of(vendor), PushRules(timezone="UTC"), ledger)
            return {outcome.record_id: outcome.word.value for outcome in push.run(updates)}

    yield run
    engine.dispose()


def notes(*rows):
    """Return a note for each of some rows."""
    return {f"7{row:04}": f"note {row}" for row in rows}


def test_the_vendor_is_asked_about_records_that_show_something_else(run):
    """Of ten rows it is asked about the first, which goes alone, and about the one whose note was dropped."""
    vendor = Asked()
    words = run(notes(*range(10)), vendor, Forgetful())
    assert vendor.asked == ["70000", "70007"]
    assert words == {one: "ignored" if one == "70007" else "updated" for one in notes(*range(10))}


@pytest.mark.parametrize("known", [(), (45,), (40, 60), range(40, 80), range(80)])
def test_unchanged_rows_are_found_wherever_they_are(run, monkeypatch, known):
    """Also if the first rows are all changed: then only a part of the next ones is compared before they are claimed."""
    monkeypatch.setattr(claiming, "_COMPARED_AT_ONCE", 40)
    run(notes(*known))
    server, before = Echo(), set(notes(*known))
    words = run(notes(*range(120)), server=server)
    assert words == {one: "unchanged" if one in before else "updated" for one in notes(*range(120))}


@pytest.mark.parametrize(
    "ids", [["1", "22"], ["ü" * 255, "1"], ["\U0001f600" * 50, "a" * 255], list(map(str, range(100)))]
)
def test_a_call_is_never_larger_than_what_is_taken_for_its_size(ids):
    """Whatever characters the ids have; bodies are ASCII."""
    jobs = [
        Job(
            None, None, update=Update(0, one, {}), writes=None, calls=(Call("PATCH", "/", body=f'{{"a": "{number}"}}'),)
        )
        for number, one in enumerate(ids)
    ]
    batch = BATCHLY.write_calls(("name",))[0].batch
    assert len(batch.join([])) < _size(batch, jobs) <= _most(batch, jobs)
