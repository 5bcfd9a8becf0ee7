"""Find wins without a date, and date them, by the rules of any vendor."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.push.prepare import check_won_date, dated
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.values.opportunity import Field, Kind, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.win_dates import wins_without_date, with_date_key, with_win_date
from airflow_provider_crm.vendors.wins import WinRules

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 3, 1)
FIELDS = [
    Field("stage", "dealstage", Kind.STAGE),
    Field("dealstage", "dealstage", Kind.STAGE),
    Field("date_won", "closedate", Kind.DATE),
    Field("closedate", "closedate", Kind.DATE),
    Field("notes", "notes"),
]
CATALOGUE = Catalogue(
    fields={field.name: field for field in FIELDS},
    stages=(Stage("7", "Paid", "won"), Stage("8", "Signed", "won"), Stage("9", "Gone", "lost")),
)
RULES = WinRules(stage_fields=("stage", "dealstage"), date_field="date_won", advice="Map a column to date_won.")


class Shop(type(VENDORS["raze"])):
    """A vendor whose stages have numbers."""

    name, display_name, wins = "shop", "Shop", RULES

    def to_vendor_values(self, field, values, catalogue):
        """Return the number of a stage, of any spelling."""
        numbers = {stage.label.lower(): stage.id for stage in catalogue.stages}
        if field.kind is not Kind.STAGE:
            return {field.target: values}
        if any(value is not None and value.lower() not in {*numbers, "7", "8", "9"} for value in values):
            raise InvalidValueError("no such stage", code="STAGE")
        return {field.target: [value and numbers.get(value.lower(), value) for value in values]}


class ClockOnly(Shop):
    """A vendor that lets nobody write the date."""

    wins = WinRules(stage_fields=("stage",), date_field=None, advice="None.", refusal="{day} cannot be sent.")


class Dateless(Shop):
    """A vendor that dates nothing."""

    wins = None


def row(**fields):
    """Return a row whose data is old."""
    return Update(3, "1", fields, NOW - dt.timedelta(days=90))


@pytest.mark.parametrize(
    ("fields", "undated"),
    [
        ({"stage": "PAID"}, True),
        ({"stage": "7"}, True),
        ({"dealstage": "signed"}, True),
        ({"stage": "gone"}, False),
        ({"stage": None}, False),
        ({"notes": "paid"}, False),
        ({}, False),
        ({"stage": "paid", "date_won": None}, True),
        ({"stage": "paid", "date_won": DAY}, False),
        ({"stage": "paid", "closedate": DAY}, False),
        ({"stage": "nowhere", "date_won": DAY}, False),
    ],
)
def test_a_win_is_found_by_its_translated_stage(fields, undated):
    """A won stage counts in any spelling and under any of its names, unless its date is in the row under any name."""
    assert wins_without_date(row(**fields), Shop(), CATALOGUE) is undated
    assert wins_without_date(row(**fields), Dateless(), CATALOGUE) is False


def test_a_stage_that_is_not_there_is_refused():
    """The vendor's own translation refuses an unknown stage."""
    with pytest.raises(InvalidValueError, match="no such stage"):
        wins_without_date(row(stage="nowhere"), Shop(), CATALOGUE)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"stage": "paid"}, {"stage": "paid", "date_won": DAY}),
        ({"stage": "paid", "date_won": None}, {"stage": "paid", "date_won": DAY}),
        ({"stage": "paid", "closedate": None}, {"stage": "paid", "closedate": DAY}),
    ],
)
def test_the_date_is_added_once(fields, wanted):
    """The date replaces a missing one under the name that the row has, and everything else stays."""
    update = row(**fields)
    found = with_win_date(update, DAY, Shop(), CATALOGUE)
    assert (dict(found.fields), found.row, found.record_id, found.as_of) == (wanted, 3, "1", update.as_of)


def test_a_date_that_nobody_may_write_is_refused():
    """The vendor's own sentence names the day."""
    with pytest.raises(InvalidValueError, match=r"2026-03-01 cannot be sent\.") as refused:
        with_win_date(row(stage="paid"), DAY, ClockOnly(), CATALOGUE)
    assert (refused.value.code, refused.value.vendor, refused.value.record_id) == ("DATE_WON", "shop", "1")


@pytest.mark.parametrize(
    ("keys", "names", "wanted"),
    [
        ({"dealstage"}, ("dealstage", "closedate", "notes"), {"dealstage", "closedate"}),
        ({"dealstage", "notes"}, ("dealstage", "notes"), {"dealstage", "notes"}),
        ({"notes"}, ("dealstage", "closedate", "notes"), {"notes"}),
        (set(), ("dealstage", "closedate"), set()),
    ],
)
def test_the_date_goes_with_the_stage(keys, names, wanted):
    """Where the vendor would replace it, the date is written whenever the stage is; else only if it changes."""

    class Replacing(Shop):
        wins = dataclasses.replace(RULES, replaces_date=True)

    names = dict.fromkeys(names, "x")
    assert with_date_key(frozenset(keys), names, Replacing(), CATALOGUE) == wanted
    for other in (Shop(), ClockOnly(), Dateless()):
        assert with_date_key(frozenset(keys), names, other, CATALOGUE) == keys


@pytest.mark.parametrize("default", [None, "server", "as_of"])
def test_a_vendor_that_dates_nothing_needs_no_date(default):
    """Without rules about wins no old win is refused, and `date_won_default` changes nothing."""
    update, rules = row(stage="paid"), PushRules(date_won_default=default)
    assert dated(update, Dateless(), CATALOGUE, rules) is update
    check_won_date(update, Dateless(), CATALOGUE, rules, NOW)


def test_an_old_win_is_refused_with_the_advice_of_its_vendor():
    """The message has the date of the data, the vendor's name and its advice."""
    with pytest.raises(InvalidValueError) as refused:
        check_won_date(row(stage="paid"), Shop(), CATALOGUE, PushRules(), NOW)
    assert str(refused.value) == (
        "the stage wins the deal without a date, and the data is from 2026-03-17: Shop would set today's date. "
        "Map a column to date_won."
    )


def test_a_catalogue_without_a_stage_has_no_stage_key():
    """The key is that of the canonical field, or none."""
    assert CATALOGUE.stage_key == "dealstage"
    assert Catalogue(fields={"notes": Field("notes", "notes")}).stage_key is None
