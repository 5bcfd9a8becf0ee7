"""Progress lines, with time that passes only when a test says so."""

from __future__ import annotations

import pytest

from airflow_provider_crm.report.progress import Progress, Reading
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord


class Run:
    """A run whose rows take a second each, of which every fourth is refused."""

    def __init__(self, *, total=None, every=5.0, seconds=1.0, earlier=0, used=None):
        self.used = used
        self.now, self.rows, self.seconds, self.lines = 100.0, earlier, seconds, []
        self.progress = Progress(self.reading, self.lines.append, total=total, every=every, monotonic=lambda: self.now)

    def reading(self):
        """Two calls a row."""
        return Reading(self.rows, self.rows // 4, 2 * self.rows, self.used)

    def outcomes(self, rows):
        """Each row's outcome a while after the last one."""
        for number in range(rows):
            self.now += self.seconds
            yield Outcome(number, f"id_{number}", OutcomeWord.UPDATED)

    def of(self, rows):
        """Let the rows pass; returns their ids."""
        ids = []
        for outcome in self.progress.watch(self.outcomes(rows)):
            ids.append(outcome.record_id)
            self.rows += 1
        return ids


def test_a_line_every_few_seconds():
    """Rows done of all, rate, calls, refused and time left, at each fifth second, the rows of that moment included."""
    run = Run(total=20)
    run.of(11)
    assert run.lines == [
        "5 of 20 rows, 1.0 rows/s, 10 calls, 1 refused, about 15 s left",
        "10 of 20 rows, 1.0 rows/s, 20 calls, 2 refused, about 10 s left",
    ]


def test_the_use_of_the_budget_is_shown_where_it_is_known():
    """As a part of the calls that the vendor has allowed so far."""
    run = Run(used=0.456)
    run.of(5)
    assert run.lines == ["5 rows, 1.0 rows/s, 10 calls (46% of the budget), 1 refused"]


def test_every_outcome_passes_in_order():
    """Watching takes nothing away and adds nothing."""
    assert Run().of(12) == [f"id_{number}" for number in range(12)]


def test_an_unknown_total_is_not_made_up():
    """The rows of a query are not known before its end: no total, no time left."""
    run = Run()
    run.of(5)
    assert run.lines == ["5 rows, 1.0 rows/s, 10 calls, 1 refused"]


def test_fast_rows_make_no_more_lines():
    """10,240 rows within ten seconds are two lines."""
    run = Run(total=10_240, seconds=1 / 1024)
    run.of(10_240)
    assert [line.split(",")[0] for line in run.lines] == ["5120 of 10240 rows", "10240 of 10240 rows"]


def test_a_run_without_much_to_do_says_nothing():
    """A run that ends within the first seconds leaves the log alone."""
    run = Run(total=4)
    run.of(4)
    assert run.lines == []


def test_rows_before_a_deferral_do_not_count_as_speed():
    """A resumed run counts them as done, and shows the rate of this segment."""
    run = Run(total=120, earlier=100)
    run.of(5)
    assert run.lines == ["105 of 120 rows, 1.0 rows/s, 210 calls, 26 refused, about 15 s left"]


@pytest.mark.parametrize(
    ("total", "left"), [(5, "0 s"), (124, "119 s"), (425, "7 min"), (7505, "2 h 05 min"), (4, "0 s")]
)
def test_time_left_in_a_unit_that_reads(total, left):
    """Seconds, minutes or hours; more rows than the frame had at first do not make it negative."""
    run = Run(total=total)
    run.of(5)
    assert run.lines[0].endswith(f"about {left} left")


def test_each_line_is_passed_on_with_its_rate():
    """Whoever shows the progress gets what the log says, at the same moments."""
    noted, run = [], Run(total=20)
    run.progress = Progress(
        run.reading, run.lines.append, total=20, monotonic=lambda: run.now, note=lambda *one: noted.append(one)
    )
    run.of(11)
    assert noted == [(Reading(5, 1, 10), 1.0), (Reading(10, 2, 20), 1.0)]
