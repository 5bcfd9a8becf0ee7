"""Claims about HubSpot's values: what is written, and what counts as written."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.values.opportunity import Kind
from tests.vendors.hubspot.by_hand import HUBSPOT, definition, portal, record, recorded, wire, written

ZONES = (
    "Etc/GMT+12", "Pacific/Honolulu", "America/Los_Angeles", "America/New_York", "America/Santiago", "America/St_Johns",
    "UTC", "Europe/London", "Africa/Cairo", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
    "Pacific/Kiritimati",
)  # fmt: skip
DAYS = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]
TIERS = definition("tier", "enumeration", "select", options=[("1", "Gold"), ("2", "Silver"), ("3", "Silver")])
PRODUCTS = definition("products", "enumeration", "checkbox", options=[("core", "Core"), ("support", "Support")])


@pytest.mark.parametrize("timezone", ZONES)
def test_a_day_is_that_day_to_the_people_of_the_portal(timezone):
    """The instant of each day of a year lies inside it, from UTC-12 to UTC+14, on both sides of a clock change."""
    catalogue = portal(timeZone=timezone)
    for day in DAYS:
        text = wire("date_won", day, catalogue)["closedate"]
        local = dt.datetime.fromisoformat(text).astimezone(ZoneInfo(timezone))
        assert (local.date(), local.hour) == (day, 12)


@pytest.mark.parametrize("timezone", ZONES)
@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-29", "2026-06-15", "2026-10-25", "2026-11-01", "2026-12-31"])
def test_any_moment_of_the_day_shows_it(timezone, day):
    """From the first to the last second of the local day a close date shows the day, and just outside it does not."""
    catalogue, zone = portal(timeZone=timezone), ZoneInfo(timezone)
    date = dt.date.fromisoformat(day)
    sent = written("date_won", date, catalogue)["closedate"]
    begin = dt.datetime.combine(date, dt.time(), tzinfo=zone).astimezone(dt.UTC)
    end = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), tzinfo=zone).astimezone(dt.UTC)
    second = dt.timedelta(seconds=1)
    for moment, is_that_day in ((begin, True), (end - second, True), (begin - second, False), (end, False)):
        shown = record(closedate=moment.isoformat().replace("+00:00", "Z"))
        assert HUBSPOT.shows("closedate", sent, shown, catalogue, echo=False) is is_that_day


def test_a_close_date_is_compared_as_an_instant():
    """A point in time that is not noon of a day stands for itself alone."""
    catalogue = portal()
    sent = written("closedate", dt.datetime(2026, 3, 1, 22, tzinfo=ZoneInfo("America/New_York")), catalogue)[
        "closedate"
    ]
    for text, same in (
        ("2026-03-02T03:00:00Z", True),
        ("2026-03-02T03:00:00.000Z", True),
        ("2026-03-02T04:00:00Z", False),
    ):
        assert HUBSPOT.shows("closedate", sent, record(closedate=text), catalogue, echo=True) is same


def test_a_date_without_a_zone():
    """A portal whose zone is not shown, or is no zone, cannot have the date of a win; the message names the way out."""
    for zone in (None, "", "Mars/Olympus", 7):
        with pytest.raises(ConfigurationError, match="map closedate"):
            written("date_won", dt.date(2026, 3, 1), portal(timeZone=zone))
    assert written("date_won", None, portal(timeZone=None)) == {"closedate": None}


@pytest.mark.parametrize(
    ("kind", "shape", "value", "text"),
    [
        ("number", "number", Decimal("5000.00"), "5000.00"),
        ("number", "number", Decimal("1E+3"), "1000"),
        ("number", "number", 7, "7"),
        ("date", "date", dt.date(2026, 3, 1), "2026-03-01"),
        ("datetime", "date", dt.datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=dt.UTC), "2026-03-01T12:00:00.123Z"),
        ("datetime", "date", dt.datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("Asia/Kolkata")), "2026-03-01T06:30:00Z"),
        ("bool", "booleancheckbox", True, "true"),
        ("enumeration", "booleancheckbox", False, "false"),
        ("string", "text", "  as it is ", "  as it is "),
        ("string", "text", None, ""),
        ("number", "number", None, ""),
        ("json", "text", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_every_value_is_a_text(kind, shape, value, text):
    """Numbers keep their digits, points in time are in UTC, and no text clears."""
    catalogue = portal(definition("x", kind, shape))
    assert wire("x", value, catalogue) == {"x": text}


@pytest.mark.parametrize(
    ("value", "shown", "same"),
    [
        (Decimal(5000), "5000.00", True),
        (Decimal("5000.00"), "5000", True),
        (Decimal("5000.01"), "5000", False),
        (None, "", True),
        (None, None, True),
        (None, "0", False),
        (("core", "support"), "support;core", True),
        (("core",), "support;core", False),
        ((), "", True),
        (True, "true", True),
        (True, "false", False),
        (False, "", False),
        ("text", "text", True),
    ],
)
def test_what_counts_as_written(value, shown, same):
    """Texts on the wire are compared as what they mean; a property that is not shown was not written."""
    kind = {bool: ("bool", "booleancheckbox"), tuple: ("enumeration", "checkbox")}.get(type(value), ("string", "text"))
    catalogue = portal(definition("x", *kind))
    assert HUBSPOT.shows("x", value, record(x=shown), catalogue, echo=True) is same
    assert HUBSPOT.shows("x", value, record(y=shown), catalogue, echo=True) is False


def test_options_are_found_by_value_or_label():
    """A label that two options share is refused, and so is what no option has; blanks around it do not count."""
    catalogue = portal(TIERS, PRODUCTS)
    assert [written("tier", text, catalogue)["tier"] for text in ("1", "Gold", " Gold ", "2", None)] == [*"1112", None]
    with pytest.raises(InvalidValueError, match=r"several options; write one of 2 \(Silver\), 3 \(Silver\)\."):
        written("tier", "Silver", catalogue)
    with pytest.raises(
        InvalidValueError, match=r"tier 'Bronze' is not one of its options; write one of 1 \(Gold\), 2 "
    ):
        written("tier", "Bronze", catalogue)


def test_an_option_is_sent_as_it_stands():
    """The value of an option keeps its blanks, however a row names it; a long one is not cut."""
    long = "x" * 400
    catalogue = portal(definition("x", "enumeration", "select", options=[(" a  b ", "A  B"), (long, "Long")]))
    assert [written("x", text, catalogue)["x"] for text in ("a  b", "A  B", "Long", long)] == [" a  b "] * 2 + [
        long
    ] * 2


def test_blanks_around_what_is_no_free_text():
    """HubSpot refuses blanks around such a value, so they are taken off; free text stays as it is."""
    kinds = {"a": "string", "b": "enumeration", "c": "phone_number", "dealstage": "enumeration"}
    catalogue = portal(*(definition(name, kind) for name, kind in kinds.items()))
    texts = {name: wire(name, " x ", catalogue)[name] for name in kinds}
    assert texts == {"a": " x ", "b": "x", "c": "x", "dealstage": "x"}


def test_a_column_without_any_option():
    """A hundred rows of which none has an option are one error; a single right value makes it one of each row."""
    catalogue = portal(TIERS)
    field = catalogue.fields["tier"]
    with pytest.raises(ConfigurationError, match="None of the values of 100 rows for tier is one of its options"):
        HUBSPOT.to_vendor_values(field, ["7.5"] * 99 + [None], catalogue)
    for column in (["7.5"] * 99, ["7.5"] * 99 + ["Gold"]):
        with pytest.raises(InvalidValueError):
            HUBSPOT.to_vendor_values(field, column, catalogue)
    assert HUBSPOT.to_vendor_values(field, [None] * 100, catalogue) == {"tier": [None] * 100}


def test_several_options():
    """A list becomes the values with semicolons, each once; text stays one value."""
    catalogue = portal(PRODUCTS)
    assert catalogue.fields["products"].multiple
    assert wire("products", ("Core", "support", "core"), catalogue) == {"products": "core;support"}
    assert wire("products", (), catalogue) == {"products": ""}
    with pytest.raises(InvalidValueError, match="products 'core;support' is not one of its options"):
        written("products", ("core;support",), catalogue)


def test_stages_of_one_pipeline():
    """The recorded pipeline's stages have their types, and are found by id, label, or pipeline and label."""
    catalogue = portal()
    types = {stage.id: stage.type for stage in catalogue.stages}
    assert types == dict.fromkeys(types, "active") | {"closedwon": "won", "closedlost": "lost"}
    for text in ("closedwon", "Closed Won", " Sales Pipeline/Closed Won "):
        assert written("stage", text, catalogue) == {"dealstage": "closedwon", "pipeline": "default"}


def test_stages_of_several_pipelines():
    """A label in two pipelines is refused, with both ids; archived stages and pipelines are left out."""
    sales = recorded("pipelines")["results"][0]
    renewals = {"id": "7", "label": "Renewals", "stages": [
        {"id": "71", "label": "Closed Won", "metadata": {"isClosed": "true", "probability": "1"}},
        {"id": "72", "label": "Due", "metadata": {}},
        {"id": "73", "label": "Old", "archived": True},
    ]}  # fmt: skip
    old = {"id": "8", "label": "Old", "archived": True, "stages": [{"id": "81", "label": "New"}]}
    catalogue = portal(pipelines={"results": [sales, renewals, old]})
    assert written("stage", "Due", catalogue) == {"dealstage": "72", "pipeline": "7"}
    assert written("stage", "Renewals/Closed Won", catalogue) == {"dealstage": "71", "pipeline": "7"}
    with pytest.raises(InvalidValueError, match=r"several stages.*\(closedwon\) or Renewals/Closed Won \(71\)"):
        written("stage", "Closed Won", catalogue)
    for gone in ("New", "81", "Old"):
        with pytest.raises(InvalidValueError, match="is no stage of this portal"):
            written("stage", gone, catalogue)


def test_currencies_of_a_portal_with_one():
    """Its own code is checked and not sent; any other is refused. The recorded portal is one."""
    catalogue = portal(definition("amount", "number"))
    assert (catalogue.currency, "deal_currency_code" in catalogue.fields) == ("USD", False)
    assert written("deal_currency", "USD", catalogue) == {}
    with pytest.raises(InvalidValueError, match=r"deal_currency is EUR, and this HubSpot portal has USD"):
        written("deal_currency", "EUR", catalogue)


def test_currencies_of_a_portal_with_several():
    """Each of its codes is written; another one is refused before anything is sent."""
    catalogue = portal(definition("deal_currency_code", "enumeration"), additionalCurrencies=["EUR"])
    assert catalogue.currency is None
    for name in ("deal_currency", "deal_currency_code"):
        assert written(name, "EUR", catalogue) == {"deal_currency_code": "EUR"}
        with pytest.raises(InvalidValueError, match=r"is BRL, and this HubSpot portal has USD, EUR"):
            written(name, "BRL", catalogue)


def test_owners_by_address():
    """`responsible_user_id` takes an id or the address of one active owner, `hubspot_owner_id` only HubSpot's value."""
    people = [("1", "Ada@example.com"), ("2", "twin@example.com"), ("3", "twin@example.com"), ("4", "old@example.com")]
    pages = [{"results": [{"id": one, "email": email, "archived": one == "4"}]} for one, email in people]
    catalogue = portal(owners=pages)
    for text in ("ada@example.com", " ADA@example.com", "1", " 1 "):
        assert written("responsible_user_id", text, catalogue) == {"hubspot_owner_id": "1"}
    for text, problem in (("twin@example.com", "several users"), ("old@example.com", "no active user")):
        with pytest.raises(InvalidValueError, match=problem):
            written("responsible_user_id", text, catalogue)
    assert written("hubspot_owner_id", "9", catalogue) == {"hubspot_owner_id": "9"}
    assert written("responsible_user_id", None, catalogue) == {"hubspot_owner_id": None}


def test_amounts_are_in_major_units():
    """Money is counted in major units under both of its names."""
    fields = portal().fields
    assert [(fields[name].target, fields[name].amount_digits) for name in ("deal_value", "amount")] == [
        ("amount", 0)
    ] * 2
    assert fields["deal_value"].kind is Kind.MONEY
    assert wire("deal_value", Decimal("1234.56"), portal()) == {"amount": "1234.56"}
