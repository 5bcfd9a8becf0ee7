"""Scenarios for Close: each kind of field, by the hook."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tests.vendors.wire.crm import NOW

_EAST = dt.timezone(dt.timedelta(hours=5, minutes=45))


def close_text(crm):
    """Text: plain, with marks that JSON escapes, and beyond ASCII."""
    crm.account.add_opportunity("oppo_1", note="old")
    crm.updates(
        {"notes": "plain"},
        {"note": "plain"},
        {"note": 'quotes " and \\ and / and <tags> & more'},
        {"note": "line\nbreak\r\n\ttab\x0b\x1f\x7f"},
        {"note": "Grüße, Ångström, 東京, Привет, \u2028, 🚀"},
        {"note": "  spaces around  "},
        {"note": 12.0},
        {"note": Decimal("12.50")},
        {"note": dt.date(2024, 3, 1)},
        {"custom.cf_health": "Zürich ✓"},
        {"custom.cf_region": "EMEA"},
        {"custom.cf_restricted": "x"},
        {"value_period": "monthly"},
        {"custom.cf_tier": "Gold"},
        {"contact_id": "cont_1"},
    )


def close_numbers(crm):
    """Numbers and whole numbers: digits are kept, in plain notation."""
    crm.account.add_opportunity("oppo_1")
    numbers = (0, -0.0, 1, -7, 0.1, 1e21, 1e-7, "3.1400", " 42 ", Decimal("1E+3"), Decimal("0.10"), 2**53 + 1)
    wide = (Decimal("12345678901234567.89"), Decimal("-0.00000001"))
    crm.updates(
        *({"custom.cf_score": number} for number in (*numbers, *wide)),
        *({"confidence": number} for number in (0, 50, 100.0, "75", Decimal("1E+1"))),
        *({"value": number} for number in (0, 1, -500, 123456789012, 5.0, "700")),
        {"value": 0.5},
        {"custom.cf_score": float("nan")},
        {"custom.cf_score": True},
    )


def close_money(crm):
    """Money: in cents, rounded once, with the currency of the organization."""
    crm.account.add_opportunity("oppo_1")
    amounts = (0, 1, -1, 1234.56, "1234.565", "1234.575", "0.005", "0.015", 0.1 + 0.2, Decimal("-99.995"), "1e3")
    crm.updates(
        *({"deal_value": amount} for amount in amounts),
        {"deal_value": Decimal("9999999999999.99")},
        {"deal_value": "1000000", "deal_currency": "USD"},
        {"deal_currency": "usd", "deal_value": "19.99"},
        {"deal_currency": "USD"},
        {"deal_value": 5, "deal_currency": "EUR"},
        {"deal_value": "five"},
    )


def close_stages(crm):
    """Stages: by id, by pipeline and label, and a status id as it stands."""
    crm.account.add_opportunity("oppo_1")
    crm.updates(
        {"stage": "Sales/Proposal"},
        {"stage": "stat_sales_lost"},
        {"stage": " Renewals/Won "},
        {"status_id": "stat_sales_active"},
        {"stage": "Sales/Won", "date_won": "2024-03-01"},
        {"stage": "Won"},
        {"stage": "nowhere"},
    )


def close_stages_of_one_pipeline(crm):
    """Stages: by their label alone, where the organization has one pipeline."""
    del crm.account.pipelines["pipe_renewals"]
    crm.account.add_opportunity("oppo_1")
    crm.updates({"stage": "Proposal"}, {"stage": "Won"}, {"stage": "stat_sales_active"})


def close_dates(crm):
    """Dates and moments: a date stays a date, a moment is cut to a date or sent with its offset."""
    crm.account.add_opportunity("oppo_1")
    values = (
        dt.date(2024, 3, 1),
        "2024-03-10",
        dt.datetime(2024, 3, 10, 4, 30, tzinfo=dt.UTC),
        dt.datetime(2024, 11, 3, 5, 30, 0, 125, tzinfo=dt.UTC),
        dt.datetime(2024, 11, 3, 23, 30),  # noqa: DTZ001 - a row without a zone
        dt.datetime(2024, 7, 1, 0, 15, tzinfo=_EAST),
        "2024-07-01T00:15:00+05:45",
        "2024-07-01 23:59:59.5",
    )
    for zone in ("UTC", "America/New_York"):
        crm.connect(timezone=zone)
        for name in ("date_won", "custom.cf_renewal_date", "custom.cf_last_seen"):
            crm.updates(*({name: value} for value in values))


def close_users(crm):
    """Users: by id, and in a custom field by name, too."""
    crm.account.add_opportunity("oppo_1")
    crm.updates(
        {"responsible_user_id": "user_ada"},
        {"user_id": "user_grace"},
        {"custom.cf_owner": "user_ada"},
        {"custom.cf_owner": "Grace Hopper"},
        {"user_id": "user_nobody"},
    )


def close_lists(crm):
    """Fields of several values: the whole list, one value more, one value less."""
    crm.account.add_opportunity("oppo_1", **{"custom.cf_products": ["Core"]})
    crm.updates(
        {"custom.cf_products": ["Core", "Support"]},
        {"custom.cf_products": "Insights"},
        {"custom.cf_products": '["Core", "Insights"]'},
        {"custom.cf_products": "{Support,Core}"},
        {"custom.cf_products": []},
        {"custom.cf_products.add": "Core"},
        {"custom.cf_products.add": "Core"},
        {"custom.cf_products.add": "Support"},
        {"custom.cf_products.remove": "Core"},
        {"custom.cf_products.add": "Insights", "custom.cf_products.remove": "Support"},
        {"custom.cf_products.add": "nothing of the kind"},
    )


def close_clears(crm):
    """Null clears each field that can be cleared, and is refused for the others."""
    custom = {"cf_health": "x", "cf_score": 5, "cf_renewal_date": "2024-01-01", "cf_tier": "Gold", "cf_region": "EMEA"}
    custom |= {"cf_last_seen": "2024-01-01T00:00:00+00:00", "cf_products": ["Core"], "cf_owner": "user_ada"}
    custom = {f"custom.{name}": value for name, value in custom.items()}
    crm.account.add_opportunity("oppo_1", value=5, note="n", date_won="2024-01-01", contact_id="cont_1", **custom)
    names = ("deal_value", "value", "notes", "note", "date_won", "contact_id", *custom)
    kept = ("stage", "status_id", "deal_currency", "user_id", "confidence", "value_period", "custom.cf_products.add")
    crm.updates(*({name: None} for name in (*names, *kept)), dict.fromkeys(names[::2]))


def close_several_fields(crm):
    """Several fields in one row go in one call, in the order of the row."""
    crm.account.add_opportunity("oppo_1")
    row = {
        "deal_value": "1234.56",
        "deal_currency": "USD",
        "stage": "Sales/Won",
        "date_won": dt.date(2024, 3, 1),
        "notes": "Grüße",
        "responsible_user_id": "user_grace",
        "confidence": 90,
        "value_period": "annual",
        "custom.cf_score": Decimal("0.5"),
        "custom.cf_last_seen": NOW,
        "custom.cf_products": ["Core", "Support"],
        "custom.cf_health": None,
    }
    crm.updates(row, dict(reversed(row.items())), {})


def close_record_ids(crm):
    """Ids stay one segment of the path, whatever is in them."""
    ids = ("oppo 1", "a/b", "../me", "a%2Fb", "ünï/ç", "a?b=c#d", "a;b,c:d@e&f=g+h", "~._-", "OPPO_1", "東京")
    for record_id in ids:
        crm.account.add_opportunity(record_id)
    hook = crm.hook()
    for record_id in (*ids, "oppo_none", "..", ""):
        crm.update(hook, {"note": "x"}, record_id or " ")
        crm.step(f"read {record_id!r}", lambda record_id=record_id: hook.get_opportunity(record_id)["id"])
