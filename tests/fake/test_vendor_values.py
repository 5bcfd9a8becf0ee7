"""How Batchly's vendors write values, how they find them in records, and what they know of an account."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_crm.exceptions import InvalidValueError
from tests.fake.by_hand import catalogue_of, record, written
from tests.fake.vendor import BATCHLY, BATCHLY_FLAT, VENDORS
from tests.fake.vendor_fields import spell

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


@pytest.mark.parametrize(
    ("name", "value", "properties"),
    [
        ("deal_value", Decimal("1234.50"), {"amount": "1234.50"}),
        ("deal_value", Decimal("1E+3"), {"amount": "1000"}),
        ("deal_value", None, {"amount": ""}),
        ("notes", 'say "hi"', {"description": 'say "hi"'}),
        ("c_active", True, {"c_active": "true"}),
        ("c_active", False, {"c_active": "false"}),
        ("c_products", ("Core", "Support"), {"c_products": "Core;Support"}),
        ("c_products", (), {"c_products": ""}),
        ("c_score", Decimal("7.25"), {"c_score": "7.25"}),
        ("c_renewal", dt.date(2026, 3, 1), {"c_renewal": "2026-03-01"}),
        ("c_seen_at", dt.datetime(2026, 3, 1, 1, tzinfo=dt.UTC), {"c_seen_at": "2026-03-01T01:00:00Z"}),
        ("stage", "Renewals/Won", {"deal_stage": "renewals_won", "pipeline_id": "renewals"}),
        ("stage", "sales_offer", {"deal_stage": "sales_offer", "pipeline_id": "sales"}),
    ],
)
def test_spelling(name, value, properties):
    """Every value is text on the wire, under the properties, and no text clears; a stage sets its pipeline, too."""
    assert written(BATCHLY, name, value)[0] == properties


def test_what_is_compared_is_the_value():
    """The spelling is the wire's alone: amounts and truths stay what they are where they are compared and kept."""
    _, values = written(BATCHLY, "deal_value", Decimal("1234.50"))
    assert values["amount"] == Decimal("1234.50")
    assert written(BATCHLY, "c_active", value=True)[1]["c_active"] is True


@pytest.mark.parametrize(
    ("day", "instant"),
    [
        ("2026-03-07", "2026-03-07T17:00:00Z"),
        ("2026-03-08", "2026-03-08T16:00:00Z"),
        ("2026-11-01", "2026-11-01T17:00:00Z"),
        ("2026-10-31", "2026-10-31T16:00:00Z"),
    ],
)
def test_the_date_of_a_win_is_noon_in_the_portals_zone(day, instant):
    """On both sides of each clock change a date is written as noon of that day to people in the portal's zone."""
    properties, values = written(BATCHLY, "date_won", dt.date.fromisoformat(day))
    assert properties == {"close_date": instant}
    shown = record(close_date=instant)
    assert BATCHLY.shows("close_date", values["close_date"], shown, catalogue_of(BATCHLY), echo=True)
    assert BATCHLY.stored_value("close_date", shown, catalogue_of(BATCHLY)) == (instant,)


@pytest.mark.parametrize("time_zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "UTC"])
def test_noon_is_that_day_everywhere(time_zone):
    """In zones from 14 hours ahead of UTC to 11 behind it the instant lies in the day that was meant."""
    catalogue = catalogue_of(BATCHLY, time_zone)
    field = catalogue.fields["date_won"]
    (moment,) = BATCHLY.to_vendor_values(field, [dt.date(2026, 3, 1)], catalogue)["close_date"]
    assert BATCHLY.to_vendor_values(field, [None], catalogue) == {"close_date": [None]}
    assert moment.astimezone(ZoneInfo(time_zone)).date() == dt.date(2026, 3, 1)


@pytest.mark.parametrize(("name", "value"), [("stage", "Won"), ("stage", "Sales/Signed"), ("deal_currency", "XXX")])
def test_values_that_the_account_does_not_have(name, value):
    """A stage or currency that the account lacks is refused before sending, and the message says which it has."""
    with pytest.raises(InvalidValueError, match="of this account; ") as refused:
        written(BATCHLY, name, value)
    assert ("Sales/Won (sales_won)" if name == "stage" else "USD, EUR") in str(refused.value)


@pytest.mark.parametrize(
    ("key", "sent", "text", "same"),
    [
        ("amount", Decimal(1500), "1500.00", True),
        ("amount", Decimal(1500), "1500.01", False),
        ("amount", None, None, True),
        ("amount", None, "0", False),
        ("c_active", True, "true", True),
        ("c_active", True, "false", False),
        ("c_active", False, None, False),
        ("c_products", ("Support", "Core"), "Core;Support", True),
        ("c_products", ("Core",), "Core;Support", False),
        ("c_products", (), None, True),
        ("description", "", None, True),
        ("description", "true", "true", True),
        ("c_renewal", dt.date(2026, 3, 1), "2026-03-01", True),
        ("c_seen_at", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "2026-03-01T00:00:00Z", True),
        ("c_seen_at", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "2026-03-01T00:00:01Z", False),
    ],
)
@pytest.mark.parametrize("echo", [True, False])
def test_shows(key, sent, text, same, echo):
    """A shown text is compared as what it stands for; what a record leaves out it does not show, not even cleared."""
    catalogue = catalogue_of(BATCHLY)
    assert BATCHLY.shows(key, sent, record(**{key: text}), catalogue, echo=echo) is same
    assert BATCHLY.shows(key, sent, record(), catalogue, echo=echo) is False


def test_stored_values():
    """A record's values come in the form that writes them again; what it leaves out has none."""
    shown = record(c_active="false", c_products="Core;Support", amount="1.50", description=None)
    stored = {key: BATCHLY.stored_value(key, shown, catalogue_of(BATCHLY)) for key in (*shown["properties"], "name")}
    assert stored == {
        "c_active": (False,), "c_products": (["Core", "Support"],), "amount": ("1.50",), "description": (None,),
        "name": (),
    }  # fmt: skip


# Catalogue


@every_vendor
def test_catalogue(vendor):
    """Custom fields come from the schema with their kinds, without the read-only ones; each target is a field, too."""
    catalogue = catalogue_of(vendor)
    assert "c_rank" not in catalogue.fields
    assert "updated_at" not in catalogue.fields
    kinds = {name: catalogue.fields[name].kind.name for name in ("c_score", "c_renewal", "c_seen_at", "c_active")}
    assert list(kinds.values()) == ["NUMBER", "DATE", "DATETIME", "BOOLEAN"]
    assert catalogue.fields["c_tier"].choices == ("Gold", "Silver", "Bronze")
    assert {key for field in catalogue.fields.values() for key in (field.target, *field.also_writes)} <= {
        *catalogue.fields
    }
    assert (catalogue.organization, catalogue.facts["time_zone"]) == ("4711", "America/New_York")


def test_stages():
    """Stages have their type and pipeline; the vendor without stages has none, nor any field or call for them."""
    stages = {stage.id: (stage.type, stage.pipeline_id) for stage in catalogue_of(BATCHLY).stages}
    assert (stages["sales_won"], stages["renewals_lost"]) == (("won", "sales"), ("lost", "renewals"))
    flat = catalogue_of(BATCHLY_FLAT)
    assert (flat.stages, BATCHLY_FLAT.wins, "stage" in {field.name for field in BATCHLY_FLAT.documented_fields}) == (
        (), None, False,
    )  # fmt: skip
    assert [call.path for call in BATCHLY_FLAT.catalogue_calls(["amount"])] == ["/batchly_flat/v1/account"]


def test_the_schema_is_read_only_if_it_is_needed():
    """Fields that every account has need no schema; any other name does."""
    assert len(BATCHLY.catalogue_calls(["deal_value", "stage"])) == 2
    assert BATCHLY.catalogue_calls(["deal_value", "c_tier"])[-1].path == "/batchly/v1/schema"


def test_spelling_has_no_exponent_and_no_number():
    """Whatever the value, its spelling is text without an exponent."""
    assert [spell("key", one) for one in (Decimal("1E-7"), 12, dt.date(2026, 3, 1))] == [
        "0.0000001", "12", "2026-03-01",
    ]  # fmt: skip
