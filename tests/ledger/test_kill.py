"""`kill -9` in mid-run: nothing is lost, no report is wrong, at most the rows in flight are sent twice."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes
from airflow_provider_crm.sandbox import Sandbox

from .conftest import DAY
from .race import reported_outcomes

CONCURRENCY = 8
LEASE, TIMEOUT = 2.5, 1.0


def job_for(sandbox, engine, folder, rows, *, vendor="close", fields=("deal_value",)):
    """One run of some rows."""
    return {
        "vendor": vendor,
        "url": sandbox.url,
        "key": getattr(sandbox, vendor).api_key,
        "ledger": engine.url.render_as_string(hide_password=False),
        "account": f"{vendor}:kill",
        "run_key": "run",
        "as_of": DAY.isoformat(),
        "fields": fields,
        "rows": rows,
        "lease": LEASE,
        "timeout": TIMEOUT,
        "concurrency": CONCURRENCY,
        "out": str(folder / "reported"),
    }


def written(sandbox):
    """How often each record was written."""
    return Counter(write.record_id for write in sandbox.audit.writes)


def killed(racer, job, sandbox, moments):
    """Run until it ends, killed at each of these numbers of writes.

    Returns:
        For each kill, how many of the rows that its try had written were written once more by a later try.
    """
    for number, moment in enumerate((*moments, None)):
        code = racer.push(
            {**job, "label": str(number)},
            kill_when=None if moment is None else lambda moment=moment: sandbox.audit.count(method="PUT") >= moment,
        )
        assert code == (0 if moment is None else -9)
    # A request of a killed try may land while the next one runs: the try that sent it is told by its label.
    sender = {call.number: int(call.headers["x-label"]) for call in sandbox.audit.calls}
    last, resent = {}, [0] * (len(moments) + 1)
    for write in sandbox.audit.writes:
        number = sender[write.number]
        # On a busy machine an answer may come too late for its try, which then writes the row once more itself.
        if last.get(write.record_id, number) != number:
            resent[last[write.record_id]] += 1
        last[write.record_id] = number
    return resent


def some_moment(sandbox, seed, rows):
    """A moment of a run: so many writes, and then any time until some more, also before the first and after the last.

    Returns:
        Whether it has come.
    """
    rng = random.Random(seed)
    writes, pause = rng.randrange(rows), rng.uniform(0.0, 0.2)
    reached = []

    def was_reached():
        if not reached and sandbox.audit.count(method="PUT") >= writes:
            reached.append(time.monotonic())
        return bool(reached) and time.monotonic() >= reached[0] + pause

    return was_reached


def records_of(sandbox, number):
    """What the try of this number has written."""
    sender = {call.number: int(call.headers["x-label"]) for call in sandbox.audit.calls}
    return {write.record_id for write in sandbox.audit.writes if sender[write.number] == number}


def unlogged(sandbox, engine):
    """Number of writes without a line in the change log: each try that wrote a record has one of its own.

    An attempt that a try repeats, as its answer came too late, shares the line of the try.
    """
    sender = {call.number: call.headers["x-label"] for call in sandbox.audit.calls}
    writers = Counter(
        record for record, _ in {(write.record_id, sender[write.number]) for write in sandbox.audit.writes}
    )
    with engine.connect() as connection:
        lines = Counter(connection.execute(sa.select(changes.c.record_id)).scalars())
    return (writers - lines).total()


def check(sandbox, rows, path):
    """Everything is in the CRM, and every reported outcome, before a kill or after, is true."""
    values = {record: sandbox.close.opportunity(record)["value"] for record in rows}
    assert values == {record: fields["deal_value"] * 100 for record, fields in rows.items()}
    words = Counter(word for _, word, *_ in reported_outcomes(path))
    landed = {record for record, word, *_ in reported_outcomes(path) if word in ("updated", "unchanged")}
    assert words.keys() <= {"updated", "unchanged"}
    assert landed <= written(sandbox).keys()
    return words


@pytest.mark.parametrize(
    ("count", "kills"), [(300, 3), pytest.param(10_000, 20, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_a_killed_run_goes_on_where_it_stopped(racer, engine, tmp_path, count, kills):
    """Killed at random moments and tried again until it ends."""
    rows = {f"oppo_{number}": {"deal_value": number} for number in range(count)}
    moments = sorted(random.Random(count).sample(range(count - 50), kills))
    with Sandbox() as sandbox:
        for record in rows:
            sandbox.close.add_opportunity(record)
        job = job_for(sandbox, engine, tmp_path, rows)
        resent = killed(racer, job, sandbox, moments)
        words = check(sandbox, rows, job["out"])
        without_line = unlogged(sandbox, engine)
        size = f"sent again after each kill {resent}; reported {dict(words)}; {without_line} writes without a line"
        print(f"{engine.dialect.name}: {size}")  # noqa: T201 - the size of the proof
    assert max(resent) <= CONCURRENCY
    assert without_line == 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1))
def test_a_run_killed_at_any_moment_is_finished_by_its_retry(racer, engine, tmp_path, seed):
    """10,000 rows, one kill at a random moment, one retry."""
    rows = {f"oppo_{number}": {"deal_value": number} for number in range(10_000)}
    with Sandbox() as sandbox:
        for record in rows:
            sandbox.close.add_opportunity(record)
        job = job_for(sandbox, engine, tmp_path, rows)
        killed_at = some_moment(sandbox, f"{engine.dialect.name} {seed}", len(rows))
        assert racer.push({**job, "label": "0"}, kill_when=killed_at) == -9
        before = {record for record, *_ in reported_outcomes(job["out"])}
        assert racer.push({**job, "label": "1"}) == 0
        words = check(sandbox, rows, job["out"])
        twice = records_of(sandbox, 0) & records_of(sandbox, 1)
        size = f"killed after {len(before)} rows, {len(twice)} sent twice; reported {dict(words)}"
        print(f"{engine.dialect.name}: {size}")  # noqa: T201 - the size of the proof
        assert len(twice) <= CONCURRENCY
        assert not before & twice, "a row that was reported was sent again"
        resent = Counter(record for record, *_ in reported_outcomes(job["out"]))
        assert resent == {record: 2 if record in before else 1 for record in rows}


def test_what_may_not_be_sent_twice_is_read_first(racer, engine, tmp_path):
    """A stage of Raze, whose every write stamps a time, is written once for each row, whatever was killed."""
    rows = {f"opp_{number}": {"stage": "won"} for number in range(120)}
    with Sandbox() as sandbox:
        for record in rows:
            sandbox.raze.add_opportunity(record)
        job = job_for(sandbox, engine, tmp_path, rows, vendor="raze", fields=("stage",))
        for moment in (40, 80):
            ready = lambda moment=moment: sandbox.audit.count(method="PATCH") >= moment  # noqa: E731 - one condition
            assert racer.push(job, kill_when=ready) == -9
        assert racer.push(job) == 0
        assert written(sandbox) == dict.fromkeys(rows, 1)
        assert {sandbox.raze.opportunity(record)["status"] for record in rows} == {"won"}
