"""Each outcome word is known wherever outcomes are shown, so that adding one changes the enum and its emitter only."""

from __future__ import annotations

import csv
import io
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_crm.openlineage import run_lineage
from airflow_provider_crm.queries.changes import RefusedRow
from airflow_provider_crm.queries.values import Values
from airflow_provider_crm.report import SyncReport
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.report.rejects import Reject
from airflow_provider_crm.report.rejects_file import rejects_file
from airflow_provider_crm.report.tally import Tally
from airflow_provider_crm.sync.airflow_versions import stats
from airflow_provider_crm.sync.metrics import record_run
from airflow_provider_crm.ui.refused_file import refused_file
from airflow_provider_crm.ui.rendering import environment, static_file
from airflow_provider_crm.values.opportunity import FAILURES, TRANSIENT_FAILURES, Outcome, OutcomeKind, OutcomeWord

VALUES = Values(frozenset())
PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"
every_word = pytest.mark.parametrize("word", OutcomeWord)


def report_of(*words):
    """Return the report of a run with one row of each word, as it comes back from XCom."""
    tally = Tally()
    for number, word in enumerate(words):
        tally.add(Outcome(number, f"oppo_{number}", word, "CODE", "A reason."))
    report = SyncReport(
        "dag/task/run", "close", "close:host:orga", tally.rows, 0, 1.0, tally.outcomes(), tuple(tally.rejects)
    )
    return SyncReport.from_dict(report.to_dict())


@every_word
def test_a_word_says_what_it_is(word):
    """Each word has a label, a sentence and a kind; what the sets of failures say follows from the kind."""
    assert re.fullmatch(r"[a-z]+( [a-z]+)*", word.label)
    assert re.fullmatch(r"[A-Z].*\.", word.meaning)
    assert (word in FAILURES) == (word.kind in (OutcomeKind.PERMANENT, OutcomeKind.TRANSIENT))
    assert (word in TRANSIENT_FAILURES) == (word.kind is OutcomeKind.TRANSIENT)


def test_an_outcome_is_a_plain_value():
    """A word is text, and an outcome with it is the same after pickling."""
    assert OutcomeWord.NOT_SENT == "not_sent"
    assert pickle.loads(pickle.dumps(Outcome(0, "a", OutcomeWord.STALE))) == Outcome(0, "a", OutcomeWord.STALE)


def test_how_each_word_counts():
    """Rows that were written, were in place or were left alone on purpose are no failures; all others are."""
    assert {word.value: word.kind.value for word in OutcomeWord} == {
        "updated": "written",
        "unchanged": "in_place",
        "stale": "left_alone",
        "skipped": "left_alone",
        "invalid": "permanent",
        "rejected": "permanent",
        "ignored": "permanent",
        "failed": "transient",
        "unknown": "transient",
        "not_sent": "transient",
    }


@every_word
def test_the_report_counts_it(word):
    """It is in the report's counts, its summary and, if it is a failure, among the rejects."""
    report = report_of(word)
    assert report.outcomes == {word.value: 1}
    assert report.summary() == f"1 rows: 1 {word.value}"
    assert [reject.outcome for reject in report.rejects] == ([word.value] if word in FAILURES else [])
    assert ("Not every row landed." in report.failure_text()) is (word in FAILURES)


@every_word
def test_a_run_of_two_tries_counts_it(word):
    """A row that one try wrote, and that the next one finds unchanged, stays written; else the last try counts."""
    tries = [report_of(word).to_dict(), report_of(OutcomeWord.UNCHANGED).to_dict()]
    assert combined(tries)["outcomes"] == {(word if word.is_written else OutcomeWord.UNCHANGED).value: 1}


@every_word
def test_a_deferral_keeps_it(word):
    """A task that reads all rows again after a deferral reports a row that it wrote before as written."""
    tally = Tally(landed=report_of(word).outcomes)
    tally.add(Outcome(0, "oppo_0", OutcomeWord.UNCHANGED))
    assert tally.outcomes() == {(word if word.is_written else OutcomeWord.UNCHANGED).value: 1}


def test_counts_are_in_the_words_order():
    """However the outcomes came."""
    assert list(report_of(*reversed(OutcomeWord)).outcomes) == [word.value for word in OutcomeWord]


@every_word
def test_the_page_shows_it(word):
    """The page shows its label with a color of its own or of its kind, and its meaning in the legend."""
    templates = environment()
    macros = templates.get_template("macros.html").make_module({"outcome_words": templates.globals["outcome_words"]})
    shown = str(macros.outcome(word.value))
    assert re.sub("<[^>]*>", "", shown) == word.label
    classes = re.search(r'class="dot ([^"]+)"', shown)[1].split()
    assert classes == [f"k-{word.kind.value}", f"o-{word.value}"]
    assert f".{classes[0]} {{ fill: " in static_file("crm.css")
    assert templates.globals["outcome_words"][word.value].meaning == word.meaning


@pytest.mark.parametrize("word", sorted(FAILURES))
def test_the_csv_files_have_it(word, tmp_path):
    """The rejects file and the page's file of refused rows name it."""
    with rejects_file(tmp_path / "rejects.csv") as write:
        write(Reject.from_outcome(Outcome(0, "oppo_0", word, "CODE", "A reason.")))
    page = "".join(refused_file([RefusedRow("close:host:orga", "oppo_0", word.value, "CODE", "A reason.", ())], VALUES))
    for text in ((tmp_path / "rejects.csv").read_text(), page):
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["outcome"] == word.value


@every_word
def test_a_metric_counts_it(word, monkeypatch):
    """Each word has a counter of its own."""
    counted = []
    monkeypatch.setattr(stats, "incr", lambda name, count, tags: counted.append((name, count)))
    task_instance = SimpleNamespace(dag_id="dag", task_id="task")
    record_run({"ti": task_instance}, report_of(word))
    assert counted == [(f"crm.rows.{word.value}", 1), ("crm.calls", 0)]


@every_word
def test_lineage_has_it(word):
    """The run's facet names it, and its statistics count it if it was written."""
    (output,) = run_lineage(None, {}, report_of(word).to_dict()).outputs
    assert output.outputFacets["outputStatistics"].rowCount == int(word.is_written)
    assert output.outputFacets["crm_outcomes"].outcomes == {word.value: 1}


@every_word
def test_the_documentation_has_it(word):
    """The manual's table of outcomes has a row for it."""
    assert f"\n| `{word.value}` | " in PAGE.read_text()
