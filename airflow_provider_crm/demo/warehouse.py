"""The demo's warehouse: one SQLite table and a view of it, made the same way each time, with faults planted in it.

SQLite has no DECIMAL, and a REAL is a float, which cannot hold most amounts of cents: `arr` is TEXT such as '12500.50'.
Points in time are UTC, as warehouses have them; the date of a win is a matter of the office's zone.
"""

from __future__ import annotations

import datetime as dt
import enum
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox.salesforce.ids import long_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TIMEZONE = "America/New_York"
DAYS = (
    "2026-03-08",  # clocks go forward
    "2026-03-09",
    "2026-03-10",
    "2026-10-28",
    "2026-10-29",
    "2026-10-30",
    "2026-10-31",  # the last day of summer time
    "2026-11-01",  # clocks go back
)
DIRTY_DAYS = ("2026-03-08", "2026-11-01")
LATE = dt.time(23, 30)
"""When the last deal of each day was won: local time. UTC has the next day by then."""

_CLEAN = 40
_WON_EVERY = 8
_ZONE = ZoneInfo(TIMEZONE)


class Flaw(enum.StrEnum):
    """The flaw of a planted row."""

    NO_VALUE = "no value"
    EMPTY = "no values at all"
    UNKNOWN_ID = "an id that no CRM knows"
    DUPLICATE = "two rows of one id"
    CURRENCY = "euros"
    NOT_A_NUMBER = "text for a value"
    STAGE = "a stage that does not exist"


@dataclass(frozen=True, kw_only=True)
class Deal:
    """One row of `deals`; `flaw` and `won_on` are the demo's own knowledge and are not stored.

    Attributes:
        day: The day the row belongs to, as New York counts it.
        close_id: Id in Close.
        raze_id: Id in Raze.
        hubspot_id: Id in HubSpot.
        salesforce_id: Id in Salesforce, in fifteen characters, as reports have it.
        arr: Money, exact, as text.
        currency: ISO code.
        stage: Stage in Raze's words.
        won_at: When it was won, in UTC, or None.
        changed_at: When the row last changed, in UTC.
        health: Text for a custom field.
        note: Text.
        score: A model's score, a number as text.
        flaw: The planted flaw.
        won_on: New York's date of the win: what must land.
    """

    day: str
    close_id: str
    raze_id: str
    hubspot_id: str
    salesforce_id: str
    arr: str | None
    currency: str | None
    stage: str | None
    won_at: str | None
    changed_at: str
    health: str | None
    note: str | None
    score: str | None
    flaw: Flaw | None = None
    won_on: str | None = None

    @property
    def ids(self) -> dict[str, str]:
        """Return its id in each CRM, by vendor, as the API has it."""
        return {
            "close": self.close_id,
            "raze": self.raze_id,
            "hubspot": self.hubspot_id,
            "crm_salesforce": long_id(self.salesforce_id) or "",
        }


_STORED = tuple(field.name for field in fields(Deal) if field.name not in ("flaw", "won_on"))


def deals() -> list[Deal]:
    """Return all deals of all days: 40 clean ones a day, and one of each flaw on the dirty days."""
    rng = random.Random(20260308)
    rows: list[Deal] = []
    for day in DAYS:
        clean = [_deal(day, number, rng) for number in range(1, _CLEAN + 1)]
        rows += clean
        if day in DIRTY_DAYS:
            rows += _dirty(replace(_deal(day, _CLEAN + 1, rng), won_at=None, won_on=None), rng)
    return rows


def late_win(day: str) -> str:
    """Return the end of the ids of the deal that was won at 23:30 local time."""
    return f"{day[5:7]}{day[8:]}_{_CLEAN:03d}"


def logical_date(day: str, hour: int = 0) -> str:
    """Return the logical date of a run of a day: its start in New York; a later hour makes another run of the day."""
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), _ZONE).isoformat()


def write(path: Path, rows: Iterable[Deal]) -> None:
    """Make the SQLite file."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE deals ({', '.join(f'{name} TEXT' for name in _STORED)})")
        database.execute("CREATE VIEW deal_scores AS SELECT day, hubspot_id, score, arr AS expected_arr FROM deals")
        database.execute("CREATE VIEW deal_keys AS SELECT day, 'D-' || hubspot_id AS deal_key, note FROM deals")
    add(path, rows)


def add(path: Path, rows: Iterable[Deal]) -> None:
    """Add rows to the SQLite file."""
    marks = ", ".join("?" * len(_STORED))
    values = ([getattr(row, name) for name in _STORED] for row in rows)
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(f"INSERT INTO deals VALUES ({marks})", values)


def change(path: Path, day: str, arr: Mapping[str, str]) -> None:
    """Give deals of a day other values.

    Args:
        path: The SQLite file.
        day: Which rows.
        arr: The new value by id in Close.
    """
    rows = [(value, close_id, day) for close_id, value in arr.items()]
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("UPDATE deals SET arr = ? WHERE close_id = ? AND day = ?", rows)


def _deal(day: str, number: int, rng: random.Random) -> Deal:
    won = number % _WON_EVERY == 0
    clock = LATE if number == _CLEAN else dt.time(rng.randrange(9, 18), rng.randrange(60))
    moment = dt.datetime.combine(dt.date.fromisoformat(day), clock, _ZONE).astimezone(dt.UTC).isoformat()
    key = f"{day[5:7]}{day[8:]}_{number:03d}"
    return Deal(
        day=day,
        close_id=f"oppo_{key}",
        raze_id=f"opp_{key}",
        hubspot_id=_hubspot_id(day, number),
        salesforce_id=_salesforce_id(day, number),
        arr=_money(rng),
        currency="USD",
        stage=rng.choice(("contacted", "qualified", "proposal", "negotiation")),
        won_at=moment if won else None,
        changed_at=moment,
        health=rng.choice(("green", "amber", "red")),
        note=f"Scored on {day}",
        score=str(number * 2.5),
        won_on=day if won else None,
    )


def _dirty(like: Deal, rng: random.Random) -> Iterator[Deal]:
    """Yield one row of each flaw, two for the duplicate, each with ids of its own."""
    changes: dict[Flaw, dict[str, Any]] = {
        Flaw.NO_VALUE: {"arr": None},
        Flaw.EMPTY: dict.fromkeys(("arr", "currency", "stage", "health", "note", "score")),
        Flaw.UNKNOWN_ID: {},
        Flaw.DUPLICATE: {},
        Flaw.CURRENCY: {"currency": "EUR"},
        Flaw.NOT_A_NUMBER: {"arr": "n/a"},
        Flaw.STAGE: {"stage": "handshake"},
    }
    for number, (flaw, change) in enumerate(changes.items(), start=900):
        key = f"{like.day[5:7]}{like.day[8:]}_{flaw.name.lower()}"
        ids = {
            "close_id": f"oppo_{key}",
            "raze_id": f"opp_{key}",
            "hubspot_id": _hubspot_id(like.day, number),
            "salesforce_id": _salesforce_id(like.day, number),
        }
        row = replace(like, flaw=flaw, **{**ids, "arr": _money(rng), **change})
        yield row
        if flaw is Flaw.DUPLICATE:
            yield replace(row, arr=_money(rng))


def _hubspot_id(day: str, number: int) -> str:
    return f"9{day[5:7]}{day[8:]}{number:03d}"


def _salesforce_id(day: str, number: int) -> str:
    return f"006Dm000{day[5:7]}{day[8:]}{number:03d}"


def _money(rng: random.Random) -> str:
    cents = rng.randrange(100_000, 25_000_000)
    return f"{cents // 100}.{cents % 100:02d}"
