"""Claims about outcome words."""

from __future__ import annotations

import pickle

from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, FAILURES, TRANSIENT_FAILURES, Outcome, OutcomeWord


def test_words_are_distinct() -> None:
    """Success words are no failures, transient failures are failures, and an outcome is a plain value."""
    assert [word for word in OutcomeWord if word not in FAILURES] == ["updated", "unchanged", "stale", "skipped"]
    assert TRANSIENT_FAILURES < FAILURES
    assert OutcomeWord.NOT_SENT == "not_sent"
    assert pickle.loads(pickle.dumps(Outcome(0, "a", OutcomeWord.STALE))) == Outcome(0, "a", OutcomeWord.STALE)
    assert len(set(CANONICAL_FIELDS)) == 6
