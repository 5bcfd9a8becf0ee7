"""Scenarios for Raze: each kind of field, by the hook."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal


def raze_text(crm):
    """Text: plain, with marks that JSON escapes, and beyond ASCII; each of the documented fields."""
    crm.account.add_opportunity("opp_1")
    crm.updates(
        {"notes": "plain"},
        {"notes": 'quotes " and \\ and / and <tags> & more'},
        {"notes": "line\nbreak\r\n\ttab\x0b\x1f\x7f"},
        {"notes": "Grüße, Ångström, 東京, Привет, \u2028, 🚀"},
        {"notes": "  spaces around  "},
        {"notes": 12.0},
        {"notes": Decimal("12.50")},
        {"notes": dt.date(2024, 3, 1)},
        {"name": "João da Silva"},
        {"email": "jane@example.com"},
        {"email": "no address"},
        {"phone": "+55 11 91234-5678"},
        {"phone": 5511912345678.0},
        {"company": "Ação & Cia"},
        {"position": "Head of “Ops”"},
        {"responsible_user_id": "usr_1"},
        {"date_won": "2024-03-01"},
    )


def raze_money(crm):
    """Money: in major units, rounded once to two decimals, with the currency of the row."""
    crm.account.add_opportunity("opp_1")
    amounts = (0, 1, -1, 1234.56, "1234.565", "1234.575", "0.005", "0.015", 0.1 + 0.2, Decimal("-99.995"), "1e3")
    crm.updates(
        *({"deal_value": amount} for amount in amounts),
        {"deal_value": Decimal("9999999999999.99")},
        {"deal_value": Decimal("1e14")},
        {"deal_value": "1000000", "deal_currency": "USD"},
        {"deal_currency": " eur ", "deal_value": "19.90"},
        {"deal_currency": "BRL"},
        {"deal_value": 5, "deal_currency": "JPY"},
        {"deal_currency": "euro"},
    )


def raze_stages(crm):
    """Stages: by their documented names in any spelling, others as they stand, never with other fields."""
    crm.account.add_opportunity("opp_1")
    stages = ("contacted", "Qualified", " PROPOSAL ", "negotiation", "won", "lost", "new", "No such stage")
    crm.updates(*({"stage": stage} for stage in stages), {"status": "won"}, {"stage": None})
    hook = crm.hook()
    crm.step("update_stage", lambda: hook.update_stage("opp_1", "qualified")["status"])


def raze_clears(crm):
    """Null clears each field that can be cleared, and is refused for the others."""
    texts = {"email": "a@b.co", "phone": "1", "company": "c", "position": "p", "notes": "n"}
    crm.account.add_opportunity("opp_1", deal_value="5.00", responsible_user_id="usr_1", **texts)
    names = ("deal_value", "deal_currency", "responsible_user_id", *texts)
    crm.updates(*({name: None} for name in (*names, "name", "status")), dict.fromkeys(names[::2]))


def raze_several_fields(crm):
    """Several fields in one row go in one call, in the order of the row, and the stage in a second one."""
    crm.account.add_opportunity("opp_1")
    row = {
        "deal_value": "1234.56",
        "deal_currency": "USD",
        "stage": "won",
        "notes": "Grüße",
        "responsible_user_id": "usr_2",
        "name": "Jane",
        "email": "jane@example.com",
        "phone": None,
        "company": "Acme",
        "position": None,
    }
    crm.updates(row, dict(reversed(row.items())), {"notes": "x", "status": "lost"}, {})


def raze_record_ids(crm):
    """Ids stay one segment of the path, whatever is in them; a UUID has one spelling."""
    uuid = "3f2b8c1e-0000-4000-8000-00000000000a"
    ids = ("opp 1", "a/b", "../me", "a%2Fb", "ünï/ç", "a?b=c#d", "a;b,c:d@e&f=g+h", "~._-", "OPP_1", "東京", uuid)
    for record_id in ids:
        crm.account.add_opportunity(record_id)
    hook = crm.hook()
    for record_id in (*ids, uuid.upper(), f"{{{uuid}}}", uuid.replace("-", ""), "opp_none", "..", ""):
        crm.update(hook, {"notes": "x", "stage": "won"}, record_id or " ")
        crm.step(f"read {record_id!r}", lambda record_id=record_id: hook.get_opportunity(record_id)["id"])
