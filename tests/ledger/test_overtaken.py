"""Each write that may have reached the CRM has a line in the change log, also those of a try that another overtook."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.database.schema import changes
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.ledger.fences import clear_fences
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import DAY, desired
from .test_kill import CONCURRENCY, job_for

ROWS = 120
COLUMNS = ("run_key", "record_id", "field", "before", "before_known", "after", "outcome", "code")


def lines(engine):
    """The change log, in order."""
    query = sa.select(*(changes.c[name] for name in COLUMNS)).order_by(changes.c.id)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def land(ledger, row):
    """Claim a row, and settle it as written."""
    (claim,) = ledger.claim([row])
    outcome = Outcome(0, row.record_id, OutcomeWord.UPDATED)
    ledger.settle([Settlement(ClaimedRow(row, claim), outcome, frozenset(row.values))])


@pytest.fixture
def killed(ledger):
    """A run that wrote 1, then claimed 2 and a field that is new, and was killed; its lease is over."""
    run = ledger("killed", lease=0.0)
    run.open(DAY)
    land(run, desired(value=1))
    (claim,) = run.claim([desired(value=2, note=3)])
    assert claim.verdict is Verdict.SEND
    return run


OVERTAKEN = [
    ("killed", "oppo_1", "note", None, False, "3", "unknown", "OVERTAKEN"),
    ("killed", "oppo_1", "value", "1", True, "2", "unknown", "OVERTAKEN"),
]


def test_a_run_that_takes_a_field_over_logs_the_value_before(killed, ledger, engine):
    """The line has the killed run, the value that it may have written, and the last one that was acknowledged."""
    newer = ledger("newer")
    land(newer, desired(day=1, value=4, note=5))
    assert lines(engine)[1:3] == OVERTAKEN
    assert [line[:4] for line in lines(engine)[3:]] == [("newer", "oppo_1", key, None) for key in ("value", "note")]
    assert [claim.verdict for claim in killed.claim([desired(value=2, note=3)])] == [Verdict.STALE]
    assert len(lines(engine)) == 5


def test_a_reason_names_who_took_the_field_over(killed, ledger, engine):
    """A person reads in the log which run came in between."""
    ledger("newer").claim([desired(day=1, value=4)])
    with engine.connect() as connection:
        reason = connection.execute(sa.select(changes.c.reason).where(changes.c.code == "OVERTAKEN")).scalar_one()
    assert reason.endswith("its value may have reached the CRM: newer took the field over.")


def test_a_retry_logs_what_the_killed_try_may_have_written(killed, ledger, engine):
    """Also the same run, whose value before the kill is known only there."""
    land(ledger("killed"), desired(value=2, note=3))
    assert lines(engine)[1:3] == OVERTAKEN
    assert {line[6] for line in lines(engine)[3:]} == {"updated"}


def test_fields_that_are_not_taken_over_have_no_line(killed, ledger, engine):
    """A claim on other fields or records, and older data, leave the killed run's claim as it is."""
    newer = ledger("newer")
    newer.claim([desired(day=1, stage=1), desired("oppo_2", day=1, value=1)])
    assert [claim.verdict for claim in newer.claim([desired(day=-1, value=9)])] == [Verdict.STALE]
    assert len(lines(engine)) == 1


def test_a_claim_that_was_given_back_has_no_line(ledger, engine):
    """What an orderly end never sent cannot have reached the CRM."""
    run = ledger("stopped", lease=0.0)
    run.claim([desired(value=1)])
    run.release(["oppo_1"])
    land(ledger("newer"), desired(day=1, value=2))
    assert [line[:1] + line[5:] for line in lines(engine)] == [("newer", "2", "updated", "")]


def test_a_hashed_value_is_logged_as_a_hash(ledger, engine):
    """A claim stores no value in clear that the ledger may only have as a hash."""
    ledger("killed", lease=0.0, hashed=frozenset({"email"})).claim([desired(email=1)])
    with engine.connect() as connection:
        (stored,) = connection.execute(sa.text("SELECT claim_value FROM crm_field_states")).scalars()
    ledger("newer", hashed=frozenset({"email"})).claim([desired(day=1, email=2)])
    ((*_, after, _, _),) = lines(engine)
    assert after == stored
    assert is_hash(after)


def test_a_cleared_claim_is_logged(killed, engine):
    """`airflow crm fence clear` frees what a killed run has claimed: its values are logged first."""
    clear_fences(Database(engine), "close:test:orga", {"oppo_1"}, by="ann", now=Clock().now())
    assert [line[:6] for line in lines(engine)[1:3]] == [line[:6] for line in OVERTAKEN]
    assert [line[6:] for line in lines(engine)[1:]] == [("unknown", "CLAIM_CLEARED")] * 2 + [
        ("fence_cleared", "FENCE_CLEARED")
    ] * 2


def test_each_write_of_a_killed_and_overtaken_run_is_logged(racer, engine, tmp_path):
    """A run is killed over HTTP while answers are on their way; a newer run takes its rows over, and all is logged."""
    with Sandbox() as sandbox:
        for number in range(ROWS):
            sandbox.close.add_opportunity(f"oppo_{number}")
        older, newer = (
            {f"oppo_{number}": {"deal_value": number + more} for number in range(ROWS)} for more in (1, 1001)
        )
        job = job_for(sandbox, engine, tmp_path, older)
        moment = ROWS // 2
        assert (
            racer.push({**job, "run_key": "old"}, kill_when=lambda: sandbox.audit.count(method="PUT") >= moment) == -9
        )
        late = {**job, "run_key": "new", "rows": newer, "as_of": "2026-03-02T00:00:00+00:00"}
        assert racer.push(late) == 0
        assert racer.push({**job, "run_key": "old"}) == 0
        written = Counter((write.record_id, str(write.fields["value"])) for write in sandbox.audit.writes)
    logged = {(record_id, after): outcome for _, record_id, _, _, _, after, outcome, _ in lines(engine)}
    assert written.keys() <= logged.keys()
    overtaken = [key for key in written if logged[key] == "unknown"]
    print(f"{engine.dialect.name}: {len(written)} writes, {len(overtaken)} of them overtaken")  # noqa: T201 - the size of the proof
    assert len(overtaken) <= CONCURRENCY
