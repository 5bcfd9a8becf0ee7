"""The verdict on a run is true, and says so in words for people."""

from __future__ import annotations

import pytest

from airflow_provider_crm.report.verdict import RunFacts, VerdictWord, run_verdict

BROKEN = {"limit": "max_rows", "measured": "2400", "allowed": "500", "unit": "rows"}
KEPT = {**BROKEN, "measured": "400"}
OUTAGE = [{"outcome": "not_sent", "code": "OUTAGE", "rows": 1, "record_id": "", "reason": ""}]
REFUSED = [{"outcome": "rejected", "code": "BAD_REQUEST", "rows": 1, "record_id": "", "reason": ""}]


def verdict(report, **known):
    """The verdict on a stored report."""
    return run_verdict(RunFacts.from_report(report, **known))


@pytest.mark.parametrize(
    ("report", "word", "label", "words"),
    [
        ({"outcomes": {"updated": 12, "unchanged": 28}}, "landed", "12 landed", "28 were in the CRM already"),
        ({"outcomes": {"updated": 1}, "guardrails": [KEPT]}, "landed", "1 landed", "1 row was written"),
        ({"outcomes": {"unchanged": 40}}, "nothing", "nothing to write", "all 40 rows already"),
        ({"outcomes": {}}, "nothing", "nothing to write", "no rows"),
        ({"outcomes": {"stale": 40}}, "stale", "all stale", "Nothing was overwritten"),
        ({"outcomes": {"skipped": 4}}, "left_alone", "all left alone", "changed in the CRM"),
        ({"outcomes": {"updated": 1, "stale": 1}}, "left_alone", "1 of 2 rows left alone", "older than"),
        ({"outcomes": {"updated": 1, "invalid": 1, "rejected": 1, "ignored": 1}}, "refused", "3 of 4 rows refused", ""),
        ({"outcomes": {}, "guardrails": [BROKEN]}, "guardrail", "stopped by a guardrail", "allowed are 500"),
        ({"outcomes": {"updated": 4}, "ended_early": "It broke."}, "ended_early", "ended early", "It broke. 4 rows"),
        ({"plan_id": "p", "rows": 20}, "planned", "plan made", "before it is approved"),
        (
            {"plan_id": "p", "outcomes": {"updated": 14, "skipped": 4, "rejected": 2}},
            "partly", "14 of 20 applied", "2 were refused",
        ),
        ({"outcomes": {"updated": 9, "failed": 1}}, "unanswered", "1 of 10 rows without an answer", "next try"),
        (
            {"outcomes": {"updated": 9, "not_sent": 1}, "causes": [{**OUTAGE[0], "code": "LEDGER"}]},
            "ended_early", "1 of 10 rows not sent", "stopped before its last row",
        ),
    ],
)  # fmt: skip
def test_each_report_has_its_verdict(report, word, label, words):
    """Word, label and sentence follow from the counts, the guardrails, the plan and the reason of an early end."""
    found = verdict(report)
    assert (found.word, found.label) == (word, label)
    assert words in found.sentence


@pytest.mark.parametrize("causes", [OUTAGE, []])
def test_no_row_of_an_outage_is_called_refused(causes):
    """2,598 rows that the CRM never judged did not land; nobody refused them, also in reports without causes."""
    found = verdict({"outcomes": {"updated": 402, "failed": 5, "not_sent": 2593}, "causes": causes})
    assert found.word is VerdictWord.OUTAGE
    assert found.label == "outage: 2,598 of 3,000 rows did not land"
    assert "refused" not in found.label + found.sentence
    assert "402 rows were written" in found.sentence


def test_refusals_within_an_outage_are_counted_apart():
    """A row that the CRM refused before it went down stays refused, and no other row becomes so."""
    found = verdict({"outcomes": {"rejected": 2, "not_sent": 8}, "causes": [*OUTAGE, *REFUSED]})
    assert found.word is VerdictWord.OUTAGE
    assert "8 of 10 rows did not land" in found.label
    assert "2 rows were refused" in found.sentence


@pytest.mark.parametrize(("alive", "word"), [(True, "running"), (False, "killed"), (None, "no_report")])
def test_a_run_without_a_report_is_running_or_killed(alive, word):
    """Airflow says whether the task lives; without Airflow the verdict claims neither."""
    assert verdict(None, finished=False, alive=alive).word == word


def test_a_plan_that_is_applied_as_a_whole_has_landed():
    """Rows that held the value already count as applied."""
    found = verdict({"outcomes": {"updated": 14, "unchanged": 6}}, applies_plan=True)
    assert found.word is VerdictWord.LANDED


def test_only_some_verdicts_need_a_person():
    """All green verdicts, and plans, need none."""
    calm = {"landed", "nothing", "stale", "left_alone", "planned", "running", "no_report"}
    assert {word.value for word in VerdictWord if not word.is_failure} == calm
