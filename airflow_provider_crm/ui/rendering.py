"""Load the templates, and write numbers, times and durations for the pages."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_provider_crm import __version__
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.report.cures import cure
from airflow_provider_crm.report.limit_lines import KINDS
from airflow_provider_crm.report.verdict import VerdictWord
from airflow_provider_crm.values.opportunity import OutcomeWord

_FOLDER = Path(__file__).parent
STATIC = {
    "crm.css": "text/css",
    "rows.css": "text/css",
    "crm.js": "text/javascript",
    "copy.js": "text/javascript",
}
_MINUTE = 60
_HOUR = 3600
_UNITS = (("h", _HOUR), ("min", _MINUTE), ("s", 1))
_USUAL_WINDOWS = (1, 2, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 86_400)
_ALMOST = 0.95
_FOUR_DECIMALS = Decimal("0.0001")
_NOTHING = "\N{EN DASH}"


def static_file(name: str) -> str:
    """Return the text of one of `STATIC`."""
    return (_FOLDER / "static" / name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Load the templates; every value in them is escaped, and a misspelt name is an error."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(cure=cure, parse_run_key=RunKey.parse)
    made.filters.update(count=_count, duration=_duration, moment=_moment, iso=_iso, signed=_signed, money=_money)
    made.filters.update(percent=_percent, window=_window, measure=_measure, kind=_kind)
    made.globals.update(version=__version__, outcome_words={word.value: word for word in OutcomeWord})
    made.globals.update(verdict_words=tuple(VerdictWord))
    return made


def _count(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _duration(seconds: float | None) -> str:
    """Write a duration as `0.4 s`, `12 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds is None:
        return _NOTHING
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def _moment(value: dt.datetime | None) -> str:
    return _NOTHING if value is None else f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"


def _iso(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat(timespec="seconds")


def _money(value: Decimal) -> str:
    return f"{value:,.2f}"


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0%}"


def _window(seconds: float | None) -> str:
    """Write the length of a rate limit's window: `1 s` or `1 h`; "at least" if answers only showed a part of it."""
    if not seconds:
        return _NOTHING
    usual = next((length for length in _USUAL_WINDOWS if length * _ALMOST <= seconds <= length), None)
    if usual is None:
        return f"at least {_duration(seconds)}" if seconds >= _MINUTE else "window"
    return next(f"{usual // length} {unit}" for unit, length in _UNITS if usual % length == 0)


def _kind(kind: str) -> str:
    """Write how the vendor counts; a kind of a later version of the package is written as it is."""
    return KINDS.get(kind, kind)


def _measure(value: Decimal) -> str:
    """Write a number of rows, a fraction or an amount with as many decimals as it needs."""
    return f"{value.quantize(_FOUR_DECIMALS).normalize():,f}"


def _signed(value: Any) -> str:  # noqa: ANN401 - a template passes None, too
    return "" if value is None else f"{value:+,.2f}".replace("-", "\N{MINUS SIGN}")
