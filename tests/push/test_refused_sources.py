"""The change log keeps the source's values of refused rows, and of no others."""

from __future__ import annotations

import json

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes
from airflow_provider_crm.values.opportunity import Update

from .conftest import NOW


def logged(engine, run_key):
    """The lines of a run: record, outcome and the values of the source."""
    query = sa.select(changes.c.record_id, changes.c.outcome, changes.c.source).where(changes.c.run_key == run_key)
    with engine.connect() as connection:
        found = connection.execute(query.order_by(changes.c.record_id)).all()
    return [(row.record_id, row.outcome, row.source and json.loads(row.source)) for row in found]


def test_rows_that_the_crm_refused_keep_them(push, crm, notes, ledger, engine):
    """Once for each row, also in a later run in which it rests because its values are the same."""
    crm.poisoned = {"oppo_1": 400}
    list(push(ledger=ledger()).run(notes(3)))
    assert logged(engine, "run") == [
        ("oppo_0", "updated", None),
        ("oppo_1", "rejected", {"note": "new 1"}),
        ("oppo_2", "updated", None),
    ]
    list(push(ledger=ledger("next")).run(notes(3)))
    assert logged(engine, "next") == [("oppo_1", "rejected", {"note": "new 1"})]


def test_a_row_that_is_refused_before_it_is_sent_keeps_them(push, ledger, engine):
    """Also where it was read without a problem, as here: its id cannot stand in an address."""
    list(push(ledger=ledger()).run([Update(0, "..", {"note": "x\0y"}, NOW)]))
    assert logged(engine, "run") == [("..", "invalid", {"note": "x y"})]
