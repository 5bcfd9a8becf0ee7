"""The two forms of Batchly's answers: rows named by id and trace, and rows in the order in which they were sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class Problem:
    """The reason why a call or a row is refused.

    Attributes:
        name: The property at fault, if there is one.
        detail: Further members of the error.
    """

    code: str
    message: str
    name: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """What became of one row of a batch.

    Attributes:
        record_id: The record, by the id that it is shown under.
        trace: The text that the caller gave the row; empty if none.
        record: The record as it is shown; None if the row failed.
        problem: Why the row failed.
        named: Whether an error says to which row it belongs.
    """

    record_id: str
    trace: str
    record: dict[str, Any] | None = None
    problem: Problem | None = None
    named: bool = True


class Form(Protocol):
    """One form of all answers of an API."""

    rows: str
    """Member of a call's body that holds its rows."""
    shows_values: bool
    """Whether a write shows the record."""
    in_order: bool
    """Whether the results of a batch have the order of its rows."""

    def error(self, problem: Problem) -> Any:
        """Return the body of a call that is refused."""

    def results(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return the body of a batch that wrote."""

    def records(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return the body of a batch that read."""


class NamedForm:
    """Rows are named: results by the id of the record, errors by id or trace. A write shows the record."""

    rows = "inputs"
    shows_values = True
    in_order = False

    def error(self, problem: Problem) -> Any:
        """Return one error."""
        errors = [{"code": problem.code, "message": problem.message, "property": problem.name}] if problem.name else []
        category = _category(problem.code)
        body = {"status": "error", "category": category, "code": problem.code, "message": problem.message}
        return {**body, **problem.detail, **({"errors": errors} if errors else {})}

    def results(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return records and errors. One error names all records that do not exist."""
        missing = [one.record_id for one in results if one.problem is not None and one.problem.code == "NOT_FOUND"]
        errors = [self._row_error(one, one.problem) for one in results if one.problem and one.record_id not in missing]
        if missing:
            error = self.error(Problem("NOT_FOUND", "Could not get some records, they may be deleted or not exist."))
            errors.append(error | {"context": {"ids": missing}})
        records = [one.record for one in results if one.record is not None]
        body = {"status": "COMPLETE", "startedAt": at.isoformat(), "completedAt": at.isoformat(), "results": records}
        return body | ({"numErrors": len(errors), "errors": errors} if errors else {})

    def records(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return the same as for a batch that wrote."""
        return self.results(results, at)

    def _row_error(self, result: RowResult, problem: Problem) -> dict[str, Any]:
        context = (
            {} if not result.named else {"traceId": [result.trace]} if result.trace else {"ids": [result.record_id]}
        )
        error: dict[str, Any] = self.error(problem)
        return error | {"context": context}


class OrderedForm:
    """Results have the order of the rows. No write shows a value; a failed row names no id."""

    rows = "records"
    shows_values = False
    in_order = True

    def error(self, problem: Problem) -> Any:
        """Return a list of one error."""
        return [self._error(problem)]

    def results(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return what became of each row, in order."""
        return [self._result(one) for one in results]

    def records(self, results: Sequence[RowResult], at: datetime) -> Any:
        """Return the records in order, and null for one that does not exist."""
        return [one.record for one in results]

    def _result(self, result: RowResult) -> Any:
        if result.problem is not None:
            return {"success": False, "errors": [self._error(result.problem)]}
        return {"id": result.record_id, "success": True, "errors": []}

    def _error(self, problem: Problem) -> dict[str, Any]:
        names = [problem.name] if problem.name else []
        return {"errorCode": problem.code, "message": problem.message, "fields": names, **problem.detail}


def _category(code: str) -> str:
    return code if code in _CATEGORIES else "VALIDATION"


_CATEGORIES = frozenset(
    {"AUTHENTICATION", "MISSING_SCOPES", "NOT_FOUND", "RATE_LIMIT", "CONFLICT", "LOCKED", "INTERNAL"}
)
