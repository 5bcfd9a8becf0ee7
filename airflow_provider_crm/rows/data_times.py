"""Read the data time of each row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from airflow_provider_crm.rows.cells import Mark
from airflow_provider_crm.rows.field_columns import fit_cells, fit_value
from airflow_provider_crm.rows.problems import Problems, RowProblem
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind
from airflow_provider_crm.values.time_zones import future_data_time, parse_moment, zone

_FUTURE = "FUTURE_AS_OF"
_RUN_CURE = "start the run for a date that has come, or pass as_of with the column that says when the data was read."
_COLUMN_CURE = (
    "write when the value was read or last changed, or leave as_of out. An open end such as 9999-12-31 is no such "
    "time, and a local time needs its zone or the argument timezone."
)
_AS_OF = Field("as_of", "as_of", Kind.DATETIME)


class DataTimes:
    """The data times of a run's rows: of their own column, or of the run.

    Args:
        rules: The mapping and its rules.
        fields: Each mapped field by its column; where the data time is in one of them that is personal, no message
            shows it.
        as_of: Data time of the run, aware; for rows without a column of their own.
        now: Returns the time, aware; a data time may not lie ahead of it.
    """

    def __init__(
        self,
        rules: ColumnRules,
        fields: Mapping[str, Field],
        as_of: dt.datetime | None,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._rules = rules
        self._as_of = as_of
        self._now = now
        mapped = fields.get(rules.as_of or "")
        self._field = replace(_AS_OF, personal=mapped is not None and mapped.personal)

    def of_run(self, rows: int, problems: Problems) -> Sequence[dt.datetime | None]:
        """Return the run's data time for each of some rows."""
        if self._as_of is not None and (why := future_data_time(self._as_of, self._now())) is not None:
            reason = f"{why}: {_RUN_CURE}"
            for row in range(rows):
                problems.setdefault(row, []).append(RowProblem(_FUTURE, reason))
        return [self._as_of] * rows

    def of_cells(self, cells: list[object], problems: Problems) -> Sequence[dt.datetime | None]:
        """Return the data times in the cells of their column, in UTC."""
        times, _ = fit_cells(cells, self._time, problems)
        return times

    def _time(self, cell: object) -> dt.datetime | RowProblem:
        """Return a data time in UTC: two times of one zone would compare by the local clock, which repeats an hour."""
        column = f"column {self._rules.as_of!r}: "
        if cell is None or cell is Mark.ABSENT:
            return RowProblem("AS_OF", f"{column}the data time is empty (null); fill it, or leave as_of out.")
        rules = self._rules.values
        moment: dt.datetime | RowProblem = fit_value(rules, self._field, column, _moment_of_date(cell, rules))
        if isinstance(moment, RowProblem):
            return RowProblem("AS_OF", moment.reason)
        utc = moment.astimezone(dt.UTC)
        why = future_data_time(utc, self._now())
        return utc if why is None else RowProblem(_FUTURE, f"{column}{why}; {_COLUMN_CURE}")


def _moment_of_date(cell: object, rules: ValueRules) -> object:
    """Return a date, or a text that is one, as the first moment of that day in the zone; anything else as it is."""
    date = parse_moment(cell) if isinstance(cell, str) else cell
    if not isinstance(date, dt.date) or isinstance(date, dt.datetime):
        return cell
    midnight = dt.datetime.combine(date, dt.time())
    if rules.timezone is None:
        return midnight
    return midnight.replace(tzinfo=zone(rules.timezone))
