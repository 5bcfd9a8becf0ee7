"""Push rows and check their outcomes, over real HTTP with a clock that does not wait."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from decimal import Decimal

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, RateLimitedError, UnknownFieldError
from airflow_provider_crm.push.prepare import shown_payload
from airflow_provider_crm.push.rules import PushRules, check_fields
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.values.opportunity import Field, Kind, Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.credentials import Credentials

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
RECORDS = 30


@pytest.fixture
def sandbox(crm_sandbox):
    """A sandbox whose time stands still at noon UTC, with 30 opportunities of each vendor."""
    crm_sandbox.clock.set(NOW)
    for row in range(RECORDS):
        crm_sandbox.raze.add_opportunity(f"opp_{row}")
        crm_sandbox.close.add_opportunity(f"oppo_{row}")
    return crm_sandbox


@pytest.fixture
def push(sandbox):
    """Make a push to a vendor of the sandbox; waiting passes no real time."""
    with contextlib.ExitStack() as stack:

        def push(vendor="raze", *, key=None, fields=("stage",), attempts=3, **rules):
            waited = [0.0]
            clock = Clock(
                monotonic=lambda: waited[0],
                now=lambda: NOW,
                sleep=lambda seconds: waited.__setitem__(0, waited[0] + seconds),
                jitter=lambda: 0.0,
            )
            key = key or json.loads(sandbox.connection_uris()[f"{vendor}_default"])["password"]
            account = Account(VENDORS[vendor], sandbox.url, Credentials(key), timeout=10.0)
            session = stack.enter_context(Session(account, retry=RetryRules(attempts=attempts), clock=clock))
            return Push(session, session.catalogue(fields), PushRules(**rules))

        yield push


def notes(count, **changes):
    """Rows that each write a note to a record of their own."""
    return [Update(row, f"opp_{row}", {"notes": f"row {row}", **changes}, NOW) for row in range(count)]


def row_of(fields, record_id="opp_1", as_of=NOW):
    """One row."""
    return Update(0, record_id, fields, as_of)


def words(outcomes):
    """The words, in the order of the rows."""
    return [outcome.word.value for outcome in sorted(outcomes, key=lambda outcome: outcome.row)]


def writing(sandbox):
    """The calls that write, as method and record."""
    return [(call.method, call.path.split("/")[4]) for call in sandbox.audit.calls if call.method != "GET"]


# Outcomes


@pytest.mark.parametrize(
    ("fields", "record_id", "faults", "word", "code"),
    [
        ({"notes": "x"}, "opp_1", [], "updated", ""),
        ({"notes": "x"}, "opp_1", ["http_500", "truncated"], "updated", ""),
        ({"notes": "x"}, "opp_1", ["http_429"] * 9, "updated", ""),
        ({}, "opp_1", [], "unchanged", "NOTHING_TO_WRITE"),
        ({"notes": "x"}, "..", [], "invalid", "RECORD_ID"),
        ({"notes": "x"}, "opp_none", [], "rejected", "NOT_FOUND"),
        ({"deal_value": Decimal("1e14")}, "opp_1", [], "rejected", "VALIDATION_ERROR"),
        ({"notes": "x"}, "opp_1", ["http_409", "http_423"], "updated", ""),
        ({"notes": "x"}, "opp_1", ["http_409"] * 3, "failed", "CONFLICT"),
        ({"notes": "x"}, "opp_1", ["html_404", "html_403"], "updated", ""),
        ({"notes": "x"}, "opp_1", ["html_401"] * 3, "failed", "FOREIGN_ANSWER"),
        ({"notes": "x"}, "opp_1", ["ignore"], "ignored", "NOT_WRITTEN"),
        ({"notes": "x"}, "opp_1", ["http_503"] * 3, "failed", "INTERNAL_ERROR"),
        ({"notes": "x"}, "opp_1", ["html_502"] * 3, "failed", "HTTP_502"),
        ({"notes": "x"}, "opp_1", ["html_200"] * 3, "failed", "NO_RECORD"),
        ({"notes": "x"}, "opp_1", ["reset_before"] * 3, "failed", "CONNECTION_CUT"),
        ({"stage": "won"}, "opp_1", ["reset_after", "http_404"], "unknown", "NO_ANSWER"),
        ({"notes": "x"}, "opp_1", ["http_401"], "not_sent", "INVALID_API_KEY"),
        ({"notes": "x"}, "opp_1", ["http_403"], "not_sent", "INSUFFICIENT_PERMISSIONS"),
        ({"notes": "x"}, "opp_1", ["html_404"] * 3, "failed", "FOREIGN_ANSWER"),
        ({"notes": "x"}, "opp_1", ["redirect_302"], "not_sent", "REDIRECT"),
    ],
)
def test_what_becomes_of_a_row(push, sandbox, fields, record_id, faults, word, code):  # noqa: PLR0917
    """Each way in which a row can end has its word, the vendor's code, and a reason unless it landed."""
    sandbox.script(faults=faults)
    [outcome] = push().run([row_of(fields, record_id)])
    assert (outcome.record_id, outcome.word.value, outcome.code) == (record_id, word, code)
    assert bool(outcome.reason) is (word not in {"updated", "unchanged"})


def test_known_outcomes_pass_through(push, sandbox):
    """Rows that were settled while they were read keep their outcome, and cost no call."""
    known = [Outcome(row, f"opp_{row}", word) for row, word in enumerate(OutcomeWord)]
    assert list(push().run(known)) == known
    assert sandbox.audit.calls == []


def test_a_row_of_the_wrong_currency_does_not_stop_the_others(push):
    """An invalid row is refused before it is sent; its neighbours land."""
    fields = [{"deal_value": Decimal(row), "deal_currency": ("USD", "EUR")[row % 2]} for row in range(4)]
    rows = [Update(row, f"oppo_{row}", one, NOW) for row, one in enumerate(fields)]
    outcomes = list(push("close").run(rows))
    assert words(outcomes) == ["updated", "invalid", "updated", "invalid"]


def test_a_currency_alone_writes_nothing(push, sandbox):
    """A row that only states the organization's own currency is unchanged, without a call."""
    pushing = push("close")
    sandbox.audit.clear()
    assert words(pushing.run([row_of({"deal_currency": "USD"}, "oppo_1")])) == ["unchanged"]
    assert sandbox.audit.calls == []


def test_an_ignored_value_counts_only_when_echoes_are_verified(push, sandbox):
    """With `verify_echo=False` a 2xx is taken at its word."""
    sandbox.set(ignored_ids=frozenset({"opp_1"}))
    rows = [row_of({"notes": "x"})]
    assert (words(push().run(rows)), words(push(verify_echo=False).run(rows))) == (["ignored"], ["updated"])


@pytest.mark.parametrize("bad", [{"verify_echo": True, "concurrency": value} for value in (0, 65, True, "8", 1.0)])
def test_wrong_concurrency(bad):
    """Concurrency is a whole number from 1 to 64; the error says so."""
    with pytest.raises(ConfigurationError, match=r"concurrency is .*; write a whole number from 1 to 64"):
        PushRules(**bad)


# Stops


@pytest.mark.parametrize("fault", ["http_401", "http_403"])
def test_a_refused_key_stops_before_the_second_row(push, sandbox, fault):
    """The first row goes alone: when the key is refused the second is never sent, and all rows are `not_sent`."""
    sandbox.set(fault_rates={fault: 1.0})
    pushing = push()
    assert words(pushing.run(notes(20))) == ["not_sent"] * 20
    assert (writing(sandbox), type(pushing.stopped), pushing.wait) == ([("PUT", "opp_0")], AuthenticationError, None)


def test_rows_that_need_no_call_are_not_the_first(push, sandbox):
    """Invalid rows at the top don't use up the first row's part: the next row still goes alone."""
    sandbox.set(fault_rates={"http_401": 1.0})
    rows = [Update(row, "..", {"notes": "x"}, NOW) for row in range(3)] + notes(20)[3:]
    assert words(push().run(rows)) == ["invalid"] * 3 + ["not_sent"] * 17
    assert writing(sandbox) == [("PUT", "opp_3")]


def test_a_key_that_is_revoked_on_the_way(push, sandbox):
    """A 401 in the middle of a run ends it: rows that landed are `updated`, no other row is sent."""
    sandbox.script(faults=[None] * 3 + ["http_401"] * 20)
    outcomes = list(push(concurrency=1).run(notes(20)))
    assert words(outcomes) == ["updated"] * 3 + ["not_sent"] * 17
    assert len(writing(sandbox)) == 4


def test_a_long_wait_stops_the_run(push, sandbox):
    """A wait beyond `defer_after` is the caller's: the run ends, says how long, and the rest is `not_sent`."""
    sandbox.set(throttle_seconds=3600.0)
    sandbox.script(faults=[None, None, "http_429"])
    pushing = push(concurrency=1)
    assert words(pushing.run(notes(10))) == ["updated"] * 2 + ["not_sent"] * 8
    assert (pushing.wait, type(pushing.stopped), len(writing(sandbox))) == (3600.0, RateLimitedError, 3)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_an_outage_opens_the_circuit(push, sandbox, concurrency):
    """Five rows in a row with every attempt exhausted are an outage: the rest is `not_sent`, and says why."""
    sandbox.set(fault_rates={"http_503": 1.0})
    pushing = push(concurrency=concurrency, attempts=2)
    outcomes = list(pushing.run(notes(RECORDS)))
    failed = words(outcomes).count("failed")
    assert 5 <= failed <= 5 + 2 * concurrency
    assert words(outcomes).count("not_sent") == RECORDS - failed
    assert (pushing.stopped.code, pushing.wait) == ("OUTAGE", None)
    assert {outcome.code for outcome in outcomes} == {"INTERNAL_ERROR", "OUTAGE"}


def test_a_success_closes_the_circuit(push, sandbox):
    """Failures that are not one after another are no outage."""
    sandbox.script(faults=(["http_503"] * 4 + [None]) * 6)
    pushing = push(concurrency=1, attempts=1)
    assert words(pushing.run(notes(RECORDS))) == (["failed"] * 4 + ["updated"]) * 6
    assert pushing.stopped is None


def test_a_currency_without_two_decimals_stops_the_run(push, sandbox):
    """A currency that no row can write is a wrong set-up: nothing is written."""
    sandbox.close.currency = "JPY"
    pushing = push("close")
    rows = [Update(row, f"oppo_{row}", {"deal_value": Decimal(1)}, NOW) for row in range(3)]
    assert (words(pushing.run(rows)), writing(sandbox)) == (["not_sent"] * 3, [])
    assert pushing.stopped.code == "MINOR_UNIT"


# Half-applied rows


@pytest.mark.parametrize(
    ("faults", "word"),
    [(["http_400"], "rejected"), (["http_503"] * 3, "failed"), (["http_401"], "not_sent"), (["ignore"], "ignored")],
)
def test_a_half_applied_row_says_so(push, sandbox, faults, word):
    """A Raze row with a stage is two calls. If the second fails, the outcome names what the first has written."""
    sandbox.script(faults=faults, method="PATCH")
    [outcome] = push().run([row_of({"notes": "new", "stage": "won"})])
    assert (outcome.word.value, outcome.applied) == (word, ("notes",))
    assert outcome.reason.startswith("notes landed, the rest did not: ")
    assert [sandbox.raze.opportunity("opp_1")[name] for name in ("notes", "status")] == ["new", "new"]


def test_a_row_whose_first_call_fails_writes_nothing(push, sandbox):
    """The stage is not moved on a record whose values were refused."""
    [outcome] = push().run([row_of({"deal_value": Decimal("1e14"), "stage": "won"})])
    assert (outcome.word.value, outcome.applied, writing(sandbox)) == ("rejected", (), [("PUT", "opp_1")])


def test_a_resumed_run_sends_only_the_missing_half(push, sandbox):
    """The task's retry reads the half-applied row first, and sends the stage alone."""
    row = row_of({"notes": "new", "stage": "won"})
    sandbox.script(faults=["http_503"] * 3, method="PATCH")
    assert words(push().run([row])) == ["failed"]
    sandbox.audit.clear()
    assert words(push(resumed=True).run([row])) == ["updated"]
    assert [call.method for call in sandbox.audit.calls] == ["GET", "PATCH"]


def test_a_resumed_run_sends_the_values_if_they_are_missing(push, sandbox):
    """A stage that landed is not sent again for the sake of values that did not."""
    row = row_of({"notes": "new", "stage": "won"})
    assert words(push().run([row_of({"stage": "won"})])) == ["updated"]
    sandbox.audit.clear()
    assert words(push(resumed=True).run([row])) == ["updated"]
    assert [call.method for call in sandbox.audit.calls] == ["GET", "PUT"]


def test_a_resumed_run_does_not_win_twice(push, sandbox):
    """A row that landed completely before the worker died is read, and `won_at` keeps its first stamp."""
    row = row_of({"notes": "new", "stage": "won"})
    assert words(push().run([row])) == ["updated"]
    won_at = sandbox.raze.opportunity("opp_1")["won_at"]
    sandbox.clock.advance(3600)
    sandbox.audit.clear()
    assert words(push(resumed=True).run([row])) == ["updated"]
    assert [call.method for call in sandbox.audit.calls] == ["GET"]
    assert sandbox.raze.opportunity("opp_1")["won_at"] == won_at


def test_a_resumed_run_reads_only_what_may_not_be_repeated(push, sandbox):
    """Rows of plain values are simply written again: a read would cost as much."""
    assert words(push(resumed=True).run(notes(5))) == ["updated"] * 5
    assert sandbox.audit.count(method="GET") == 0


def test_a_resumed_run_with_a_key_that_may_not_read(push, sandbox, caplog):
    """Then the row is written again, and the log says so, by id and without values."""
    key = sandbox.raze.add_key(["opportunities:write"])
    row = row_of({"notes": "confidential", "stage": "lost"})
    assert words(push(key=key, resumed=True).run([row])) == ["updated"]
    assert "Row opp_1 is written again" in caplog.text
    assert "confidential" not in caplog.text


# Order


def test_rows_of_one_record_are_never_in_flight_together(push, sandbox):
    """Rows of one id land in their order, though other answers come late and overtake."""
    sandbox.set(fault_rates={"late": 0.3}, slow_seconds=0.01)
    rows = [Update(row, f"opp_{row % 3}", {"notes": f"{row}"}, NOW) for row in range(60)]
    assert words(push().run(rows)) == ["updated"] * 60
    written = [(write.record_id, int(write.fields["notes"])) for write in sandbox.audit.writes]
    for record in range(3):
        of_record = [note for record_id, note in written if record_id == f"opp_{record}"]
        assert of_record == list(range(record, 60, 3))


@pytest.mark.parametrize(("rules", "most"), [({"concurrency": 1}, 1), ({"concurrency": 8}, 8), ({}, 64)])
def test_no_more_rows_at_once_than_concurrency(distant, rules, most):
    """`concurrency` caps the rows at once, by default 64; how many there are below that, `test_concurrency` shows.

    As the server counts them: never more requests at once than that, no more connections and no more threads.
    """
    threads = 0
    rows = [Update(row, f"oppo_{row}", {"note": f"row {row}"}, NOW) for row in range(20 * most)]
    with Session(Account(VENDORS["close"], distant, Credentials("key"))) as session:
        pushing = Push(session, session.catalogue(("note",)), PushRules(**rules))
        for outcome in pushing.run(rows):
            assert outcome.word is OutcomeWord.UPDATED
            threads = max(threads, sum(thread.name.startswith("crm-push") for thread in threading.enumerate()))
        seen = requests.get(f"{distant}/connections", timeout=10).json()
    asked = 1  # the connection of the question itself
    assert min(2, most) <= seen["at_once"] <= seen["opened"] - asked <= most
    assert threads <= most


def test_rows_are_read_as_they_are_needed(push):
    """A long source is not read ahead by more than twice the rows in flight."""
    taken = []
    source = (taken.append(update.row) or update for update in notes(RECORDS))
    ahead = [len(taken) - done for done, _ in enumerate(push(concurrency=2).run(source), start=1)]
    assert max(ahead) <= 2 * 2


def test_a_run_that_is_abandoned_leaves_no_threads(push):
    """Closing the outcomes early ends the pool."""
    run = push().run(notes(RECORDS))
    next(run)
    next(run)
    run.close()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("crm-push")]
    for thread in threads:  # one that has not sent its row yet ends when it finds that it may not
        thread.join(10)
    assert [thread for thread in threads if thread.is_alive()] == []


# Won dates


def won(vendor, as_of, **fields):
    """A row that wins a deal."""
    stage = {"close": "stat_sales_won", "raze": "won"}[vendor]
    return row_of({"stage": stage, **fields}, {"close": "oppo_1", "raze": "opp_1"}[vendor], as_of)


@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_a_late_win_without_a_date_is_refused(push, sandbox, vendor):
    """Data of the day before yesterday would be won today: the row is invalid, and both ways out are named."""
    pushing = push(vendor)
    [outcome] = pushing.run([won(vendor, NOW - dt.timedelta(days=2))])
    assert (outcome.word.value, outcome.code, writing(sandbox)) == ("invalid", "DATE_WON", [])
    assert all(way in outcome.reason for way in ("date_won_default='server'", "'as_of'", "2026-06-13"))


@pytest.mark.parametrize(
    ("age", "word"), [(0, "updated"), (86_400, "updated"), (86_401, "invalid"), (-3600, "updated")]
)
@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_more_than_a_day_back_is_late(push, vendor, age, word):
    """The bound is one day: a nightly run over yesterday's data is not late."""
    assert words(push(vendor).run([won(vendor, NOW - dt.timedelta(seconds=age))])) == [word]


@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_date_won_default_server(push, sandbox, vendor):
    """With "server" a late win is sent without a date, and the vendor stamps its own today."""
    assert words(push(vendor, date_won_default="server").run([won(vendor, NOW - dt.timedelta(days=90))])) == ["updated"]
    record = sandbox.close.opportunity("oppo_1") if vendor == "close" else sandbox.raze.opportunity("opp_1")
    assert (record.get("date_won") or record["won_at"])[:10] == "2026-06-15"
    assert list(sandbox.audit.writes[-1].fields) == [{"close": "status_id", "raze": "status"}[vendor]]


@pytest.mark.parametrize(
    ("timezone", "date"), [(None, "2026-03-02"), ("UTC", "2026-03-02"), ("America/New_York", "2026-03-01")]
)
def test_date_won_default_as_of(push, sandbox, timezone, date):
    """With "as_of" the date of the data is sent, cut in the run's zone."""
    row = won("close", dt.datetime(2026, 3, 2, 4, 59, tzinfo=dt.UTC))
    assert words(push("close", date_won_default="as_of", timezone=timezone).run([row])) == ["updated"]
    assert sandbox.audit.writes[-1].fields == {"status_id": "stat_sales_won", "date_won": date}


def test_date_won_default_as_of_is_not_for_raze(push, sandbox):
    """Raze takes no date, so with "as_of" the row is invalid, and the message says which default works."""
    [outcome] = push(date_won_default="as_of").run([won("raze", NOW)])
    assert (outcome.word.value, outcome.code, writing(sandbox)) == ("invalid", "DATE_WON", [])
    assert "date_won_default='server'" in outcome.reason


@pytest.mark.parametrize("default", [None, "server", "as_of"])
def test_a_date_in_the_row_needs_no_default(push, sandbox, default):
    """A late win with its own date is sent with that date, whatever the default."""
    row = won("close", NOW - dt.timedelta(days=90), date_won=dt.date(2026, 3, 1))
    assert words(push("close", date_won_default=default).run([row])) == ["updated"]
    assert sandbox.audit.writes[-1].fields["date_won"] == "2026-03-01"


@pytest.mark.parametrize("field", ["stage", "status_id"])
def test_other_stages_have_no_date(push, field):
    """A late row that does not win needs no date."""
    row = row_of({field: "stat_sales_lost"}, "oppo_1", NOW - dt.timedelta(days=90))
    assert words(push("close").run([row])) == ["updated"]


def test_a_late_win_by_status_id(push):
    """A win is a win by its status's type, under whatever field it comes."""
    row = row_of({"status_id": "stat_renewals_won"}, "oppo_1", NOW - dt.timedelta(days=2))
    assert words(push("close").run([row])) == ["invalid"]


def test_wrong_date_won_default():
    """Another word is an error that lists both."""
    with pytest.raises(ConfigurationError, match="'today'; write 'server' or 'as_of'"):
        PushRules(date_won_default="today")


# Rehearsal, mapping, logs


def test_a_rehearsal_sends_nothing(push, sandbox):
    """Every check runs and every call is made up, and not one is sent."""
    rows = [
        row_of({"notes": "x", "stage": "won"}),
        row_of({"notes": "x"}, ".."),
        row_of({}),
        Outcome(3, "", OutcomeWord.STALE),
    ]
    rehearsed = list(push().rehearse(rows))
    assert [(outcome.word.value, outcome.code) for outcome, _ in rehearsed] == [
        ("not_sent", "DRY_RUN"),
        ("invalid", "RECORD_ID"),
        ("unchanged", "NOTHING_TO_WRITE"),
        ("stale", ""),
    ]
    assert [[call.method for call in calls] for _, calls in rehearsed] == [["PUT", "PATCH"], [], [], []]
    assert sandbox.audit.calls == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_unknown_fields_are_all_named(push, vendor):
    """A mapping with unknown fields is refused with each of them named."""
    with pytest.raises(UnknownFieldError, match=r"(?s)'one'.*'two'") as unknown:
        check_fields({"a": "one", "b": "notes", "c": "two"}, VENDORS[vendor], push(vendor).catalogue)
    assert (unknown.value.vendor, unknown.value.code) == (vendor, "UNKNOWN_FIELD")


@pytest.mark.parametrize(
    ("vendor", "fields", "target"),
    [
        ("close", ("deal_value", "value"), "value"),
        ("close", ("stage", "status_id"), "status_id"),
        ("raze", ("stage", "status"), "status"),
        ("raze", ("notes", "notes"), "notes"),
    ],
)
def test_two_columns_for_one_field(push, vendor, fields, target):
    """Two columns that would overwrite each other are refused by name, also under two names of one field."""
    with pytest.raises(ConfigurationError, match=f"columns 'a' and 'b' both write .*'{target}'"):
        check_fields(dict(zip("ab", fields, strict=True)), VENDORS[vendor], push(vendor).catalogue)


@pytest.mark.parametrize("first", ["stage", "pipeline"])
def test_a_column_that_writes_the_key_of_another(first):
    """A stage that sets its pipeline, too, and a column for the pipeline are refused by name, in any order."""
    fields = (Field("stage", "stage_id", Kind.STAGE, also_writes=("pipeline",)), Field("pipeline", "pipeline"))
    catalogue = Catalogue(fields={field.name: field for field in fields})
    second = {"stage": "pipeline", "pipeline": "stage"}[first]
    with pytest.raises(ConfigurationError) as refused:
        check_fields({"a": first, "b": second}, VENDORS["raze"], catalogue)
    assert str(refused.value) == "columns 'a' and 'b' both write Raze's 'pipeline'; keep one of them."
    check_fields({"a": first}, VENDORS["raze"], catalogue)


def test_personal_values_stay_out_of_a_preview(push):
    """The log of a dry run shows which fields would be sent, and no personal value."""
    row = row_of({"email": "jane@example.com", "notes": "x"})
    [(_, (call,))] = push().rehearse([row])
    assert shown_payload(call, push().catalogue) == '{"email": "(hidden)", "notes": "x"}'


# Whatever happens

FAULTS = st.sampled_from([
    None, None, "http_400", "http_401", "http_404", "http_429", "http_500", "http_500_after", "html_200",
    "html_502_after", "reset_before", "reset_after", "truncated", "ignore",
])  # fmt: skip


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=14), stage=st.booleans(), resumed=st.booleans())
def test_every_row_has_exactly_one_outcome(push, sandbox, faults, stage, resumed):
    """Whatever happens on the wire: one outcome per row, and `updated` only where the CRM has the values."""
    for row in range(8):
        sandbox.raze.add_opportunity(f"opp_{row}")
    sandbox.reset_switches()
    sandbox.audit.clear()
    sandbox.script(faults=faults)
    rows = notes(8, **({"stage": "won"} if stage else {}))
    outcomes = list(push(resumed=resumed, concurrency=3).run(rows))
    assert sorted(outcome.row for outcome in outcomes) == list(range(8))
    for outcome in outcomes:
        record = sandbox.raze.opportunity(outcome.record_id)
        landed = record["notes"] == f"row {outcome.row}" and (not stage or record["status"] == "won")
        assert landed or outcome.word is not OutcomeWord.UPDATED
        wins = [
            write for write in sandbox.audit.writes if (write.record_id, write.method) == (outcome.record_id, "PATCH")
        ]
        assert len(wins) <= 1
