"""Read the filters of the overview from its address, so that every view of it is a link."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator

from airflow_provider_crm.queries.run_filter import RunFilter
from airflow_provider_crm.report.verdict import VerdictWord
from airflow_provider_crm.ui.texts import ShortText
from airflow_provider_crm.values.opportunity import OutcomeWord

RANGES = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
"""Names of the time ranges in addresses, and for people."""
_LENGTHS = {"24h": dt.timedelta(hours=24), "7d": dt.timedelta(days=7), "30d": dt.timedelta(days=30)}

# A form sends a field that was left open as an empty text.
_OrNone = BeforeValidator(lambda text: text or None)
RangeName = Literal["24h", "7d", "30d", "custom"]
_USUAL: RangeName = "7d"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFilter:
    """The filters of one request.

    Attributes:
        range: A name of `RANGES`, or `custom`.
        first: First day of a custom range, in UTC.
        last: Last day of a custom range, in UTC; it is included.
        dag: Id of a Dag, or empty for all.
        account: An account, or empty for all.
        outcome: An outcome that some row of a run has, or None.
        verdict: The verdict on a run, or None.
    """

    range: RangeName = _USUAL
    first: dt.date | None = None
    last: dt.date | None = None
    dag: str = ""
    account: str = ""
    outcome: OutcomeWord | None = None
    verdict: VerdictWord | None = None

    def runs(self, now: dt.datetime) -> RunFilter:
        """Return the runs that are wanted at a point in time."""
        custom = self.range == "custom"
        return RunFilter(
            since=_midnight(self.first) if custom else now - _LENGTHS[self.range],
            until=None if not custom or self.last is None else _midnight(self.last + dt.timedelta(days=1)),
            dag_id=self.dag or None,
            account=self.account or None,
            outcome=self.outcome,
            verdict=self.verdict,
        )

    def but(self, **changes: object) -> dict[str, object]:
        """Return the parameters of the same view with some filters changed; what is as usual is left out."""
        known: dict[str, Any] = {**asdict(self), **changes}
        if changes.get("range", "custom") != "custom":
            known |= {"first": None, "last": None}
        renamed = {"from": known.pop("first"), "to": known.pop("last")}
        given = {"range": known["range"], **renamed, **{name: known[name] for name in known if name != "range"}}
        shown = {name: getattr(value, "value", value) for name, value in given.items() if value}
        return {name: value for name, value in shown.items() if (name, value) != ("range", _USUAL)}

    @property
    def range_text(self) -> str:
        """The time range for people."""
        if self.range != "custom":
            return f"Last {RANGES[self.range]}"
        first, last = (day.isoformat() if day else None for day in (self.first, self.last))
        if first and last:
            return f"{first} to {last}"
        return f"From {first}" if first else f"Until {last}" if last else "All time"

    @property
    def narrows(self) -> bool:
        """Return whether it shows fewer runs than those of its time range."""
        return bool(self.dag or self.account or self.outcome or self.verdict)


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time(), dt.UTC)


async def _filter(
    *,
    range_: Annotated[RangeName | None, _OrNone, Query(alias="range")] = None,
    first: Annotated[dt.date | None, _OrNone, Query(alias="from")] = None,
    last: Annotated[dt.date | None, _OrNone, Query(alias="to")] = None,
    dag: ShortText = "",
    account: ShortText = "",
    outcome: Annotated[OutcomeWord | None, _OrNone] = None,
    verdict: Annotated[VerdictWord | None, _OrNone] = None,
) -> PageFilter:
    known: RangeName = "custom" if first or last else range_ or _USUAL
    days = (first, last) if known == "custom" else (None, None)
    return PageFilter(
        range=known, first=days[0], last=days[1], dag=dag, account=account, outcome=outcome, verdict=verdict
    )


FilterDep = Annotated[PageFilter, Depends(_filter)]
