"""Claims about outcome words and errors."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_crm import exceptions
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, FAILURES, TRANSIENT_FAILURES, Outcome, OutcomeWord


@pytest.mark.parametrize("name", exceptions.__all__)
def test_errors_pickle_whole(name: str) -> None:
    """Every error crosses a process boundary with its message and all attributes."""
    kind = getattr(exceptions, name)
    error = kind(
        "It failed.",
        vendor="close",
        status=400,
        code="X",
        request_id="r1",
        record_id="oppo_1",
        field_errors={"value": "bad"},
        retry_after=1.5,
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "It failed."
    assert vars(copy) == vars(error)


def test_the_tree_is_whole() -> None:
    """`__all__` names every error of the module, each is a CrmError and ends in Error, and there are at most ten."""
    found = {name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, CrmError)}
    assert found == set(exceptions.__all__)
    assert all(name.endswith("Error") for name in found)
    assert len(found) <= 10


def test_words_are_told_apart() -> None:
    """Success words are no failures, transient failures are failures, and an outcome is a plain value."""
    assert set(OutcomeWord) - FAILURES == {OutcomeWord.UPDATED, OutcomeWord.UNCHANGED, OutcomeWord.STALE}
    assert TRANSIENT_FAILURES < FAILURES
    assert OutcomeWord.NOT_SENT == "not_sent"
    assert pickle.loads(pickle.dumps(Outcome(0, "a", OutcomeWord.STALE))) == Outcome(0, "a", OutcomeWord.STALE)
    assert len(set(CANONICAL_FIELDS)) == 6
