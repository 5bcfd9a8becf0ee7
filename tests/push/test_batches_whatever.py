"""Whatever happens to calls for several rows: each row has one outcome, and it is true."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.values.opportunity import OutcomeWord, Update

from .batch_vendor import BatchClose
from .conftest import NOW

ROWS = 60
CALLS = st.sampled_from([None, None, None, "lost", "unsent", 400, 401, 413, 429, 500, 503])
SOME = st.sets(st.sampled_from([f"oppo_{row}" for row in range(ROWS)]), max_size=4)
SENT_AGAIN = {OutcomeWord.FAILED, OutcomeWord.NOT_SENT}


@st.composite
def worlds(draw):
    """What the server does, and how the vendor reads it."""
    shows_values = draw(st.booleans())
    return {
        "vendor": BatchClose(
            draw(st.sampled_from(["id", "trace", "position"])),
            shows_values=shows_values,
            largest=draw(st.integers(3, 30)),
            largest_bytes=draw(st.sampled_from([None, 200, 1_000])),
            reads=draw(st.sampled_from([None, 7])),
        ),
        "server": {
            "faults": draw(st.lists(CALLS, max_size=12)),
            "poisoned": dict.fromkeys(draw(SOME), draw(st.sampled_from([400, 403, 422]))),
            "refused": dict.fromkeys(draw(SOME), draw(st.sampled_from([400, 403, 404, 503]))),
            "left_out": draw(SOME),
            "dropped": draw(SOME),
            "silent": not shows_values,
            "shuffled": draw(st.booleans()),
            "surplus": draw(st.booleans()),
        },
    }


@pytest.mark.parametrize("concurrency", [1, 4])
@settings(deadline=None, max_examples=30, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_every_row_has_one_true_outcome(push, crm, world, concurrency):
    """One outcome for each row, `updated` just where the CRM has the value, and refused only rows that it refuses."""
    server, position = world["server"], world["vendor"].match == "position"
    if position:  # such a vendor promises the order, and that nothing is missing
        server["shuffled"] = False
        server["left_out"] = set() if server["surplus"] else server["left_out"]
    crm.records = {f"oppo_{row}": {"note": "old"} for row in range(ROWS)}
    for name, value in server.items():
        setattr(crm, name, list(value) if name == "faults" else value)
    rows = [Update(row, f"oppo_{row}", {"note": f"new {row}"}, NOW) for row in range(ROWS)]
    pushing = push(world["vendor"], concurrency=concurrency, attempts=2)
    outcomes = list(pushing.run(rows))
    assert sorted(outcome.row for outcome in outcomes) == list(range(ROWS))
    for outcome in outcomes:
        landed = crm.records[outcome.record_id]["note"] == f"new {outcome.row}"
        at_fault = outcome.record_id in {*server["poisoned"], *server["refused"]}
        assert landed or outcome.word is not OutcomeWord.UPDATED
        assert outcome.word is not OutcomeWord.IGNORED or outcome.record_id in server["dropped"]
        assert outcome.word is not OutcomeWord.REJECTED or at_fault
        if outcome.word not in SENT_AGAIN:
            assert landed is (outcome.word is OutcomeWord.UPDATED) or at_fault
    if not {401, 413, 500, 503, "lost", "unsent"} & set(server["faults"]) and pushing.stopped is None:
        clean = {f"oppo_{row}" for row in range(ROWS)} - {*server["poisoned"], *server["refused"], *server["dropped"]}
        assert all(outcome.word is OutcomeWord.UPDATED for outcome in outcomes if outcome.record_id in clean)
