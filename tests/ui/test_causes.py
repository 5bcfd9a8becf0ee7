"""Rows that share a cause are one group, whatever their ids and values."""

from __future__ import annotations

import pytest

from airflow_provider_crm.queries.causes import CountedReason, ReasonGroup, RowFilter, general_form, grouped

A, B = "deal_value takes a number, the row has '12,5'.", "deal_value takes a number, the row has 'n/a'."
FORM = "deal_value takes a number, the row has …."


@pytest.mark.parametrize(
    ("reason", "form"),
    [
        (A, FORM),
        ("column 'arr': deal_value takes a number, the row has 'x'.", f"column 'arr': {FORM}"),
        ("Acme's server answered 400: 17 is no stage of oppo_1029.", "Acme's server answered 400: … is no stage of …."),
        ("the id 'a' is also in rows 3, 5 and 8 (rows count from 0)", "the id … is also in rows … (rows count from …)"),
        ('takes a currency code (ISO 4217), the row has "it\'s".', "takes a currency code (ISO 4217), the row has …."),
        ("the data is from 2026-11-01: it lies ahead", "the data is from …: it lies ahead"),
        ("custom.cf_v6S0 is locked", "custom.cf_v6S0 is locked"),
        ("", ""),
    ],
)
def test_the_general_form_has_no_value_of_a_row(reason, form):
    """Values, numbers, dates and ids go; the column, the field and the status stay."""
    assert general_form(reason) == form


def test_rows_with_one_cause_are_one_group():
    """The largest group comes first, and knows the reasons that it stands for."""
    reasons = [CountedReason("invalid", "N", A, 2), CountedReason("rejected", "X", "No.", 4)]
    reasons += [CountedReason("invalid", "N", B, 3)]
    first, second = grouped(reasons, {}, capped=False)
    assert (first.form, first.rows, first.at_least, first.reasons) == (FORM, 5, False, (A, B))
    assert (second.outcome, second.rows) == ("rejected", 4)


def test_rows_without_a_line_are_counted_by_the_run():
    """An outage leaves rows that were never begun: the run's report names their number."""
    lines = [CountedReason("failed", "HTTP_503", "It answered 503.", 5)]
    reported = {("failed", "HTTP_503"): 5, ("not_sent", "OUTAGE"): 2593}
    assert [(one.outcome, one.rows, one.reasons) for one in grouped(lines, reported, capped=False)] == [
        ("not_sent", 2593, ()),
        ("failed", 5, ("It answered 503.",)),
    ]


def test_groups_of_a_very_large_run_have_the_counts_of_its_report():
    """Where only some rows were read, the report counts for a code of one reason; else the number is a lower bound."""
    reasons = [CountedReason("rejected", "A", "No.", 10), CountedReason("rejected", "B", "One.", 7)]
    reasons += [CountedReason("rejected", "B", "Two.", 5)]
    found = grouped(reasons, {("rejected", "A"): 1_000, ("rejected", "B"): 2_000}, capped=True)
    assert [(one.form, one.rows, one.at_least) for one in found] == [
        ("No.", 1_000, False),
        ("One.", 7, True),
        ("Two.", 5, True),
    ]


def test_a_filter_selects_groups():
    """By outcome, code and form; without a form all of the code; nothing is selected without a filter."""
    groups = [ReasonGroup("rejected", "B", "One.", 7), ReasonGroup("rejected", "B", "Two.", 5)]
    assert RowFilter("rejected", "B", "Two.").of(groups) == groups[1:]
    assert RowFilter("rejected", "B").of(groups) == groups
    assert RowFilter("rejected", "C").of(groups) == []
    assert RowFilter().of(groups) is None


@pytest.mark.parametrize(
    ("only", "takes"),
    [
        (RowFilter(), True),
        (RowFilter("invalid", "N", FORM), True),
        (RowFilter("invalid", "N"), True),
        (RowFilter("invalid", "N", "Other."), False),
        (RowFilter("failed", "N"), False),
    ],
)
def test_a_filter_takes_the_rows_of_its_groups(only, takes):
    """A file has the rows that the page shows for the same filter."""
    assert only.takes(CountedReason("invalid", "N", A, 1)) is takes
