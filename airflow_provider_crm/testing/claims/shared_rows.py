"""Make rows that share calls, and look at those calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.exceptions import CrmError, IgnoredError
from airflow_provider_crm.testing.bench import leaves, part_of
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.values.opportunity import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.sandbox import AuditedCall
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.values.opportunity import Update
    from airflow_provider_crm.vendors.calls import BatchCall, Call, RowAnswer


class SharedRows(Claims):
    """Rows that share calls, for the claims about batches."""

    def shared_call(self, bench: Bench) -> BatchCall:
        """Return how rows share a call; skip the test if they do not."""
        for name, example in self.subject.values.items():
            if (batch := self.shared_call_of(bench.calls("x", {name: example.value}))) is not None:
                return batch
        pytest.skip(f"{self.subject.vendor.display_name} writes one row a call")

    def shared_call_of(self, calls: Sequence[Call]) -> BatchCall | None:
        """Return how a row with these calls shares one; None if it goes alone."""
        route = calls[0].route if len(calls) == 1 else None
        return None if route is None else route.batch

    def switch_name(self, name: str) -> str | None:
        """Return the name of a switch for batches."""
        switches = self.subject.batch_switches
        found: str | None = None if switches is None else getattr(switches, name)
        return found

    def shuffle_answers(self, bench: Bench) -> None:
        """Let answers come in any order, if they name their rows."""
        switch = self.switch_name("shuffled")
        if switch is not None:
            bench.sandbox.set(**{switch: True})

    def free_text(self, bench: Bench) -> str:
        """Return a field of free text that rows which share a call can write."""
        for name, example in self.subject.values.items():
            field = bench.catalogue.fields[name]
            free = (field.kind, field.multiple, field.choices, len(leaves(example.shown))) == (Kind.TEXT, False, (), 1)
            if free and field.clearable and self.shared_call_of(bench.calls("x", {name: example.value})) is not None:
                return name
        pytest.skip(f"{self.subject.vendor.display_name} has no free text that rows of one call can write")

    def any_text(self, bench: Bench) -> str:
        """Return a field of text."""
        fields = bench.catalogue.fields
        return next(
            name for name in self.subject.values if (fields[name].kind, fields[name].choices) == (Kind.TEXT, ())
        )

    def text_of_row(self, number: int, word: str = "row") -> str:
        """Return the text of a row, with all that JSON has to escape."""
        return f'{word} {number} "é" \\ \U0001f600 {{}}, [{number}]'

    def text_rows(self, bench: Bench, ids: Sequence[str], word: str = "row") -> list[Update]:
        """Return rows that each write another text."""
        name = self.free_text(bench)
        return [bench.update(one, {name: self.text_of_row(number, word)}, number) for number, one in enumerate(ids)]

    def held_texts(self, bench: Bench, ids: Sequence[str]) -> list[object]:
        """Return the texts that the records hold."""
        shape: Mapping[str, object] = self.subject.values[self.free_text(bench)].shown
        return [leaves(part_of(bench.held(one), shape))[0] for one in ids]

    def write_together(self, bench: Bench, rows: Sequence[Update]) -> list[RowAnswer]:
        """Send some rows in one call."""
        calls = [bench.calls_of(row)[0] for row in rows]
        return bench.session.write_batch(calls, [row.record_id for row in rows])

    def shared_calls_sent(self, bench: Bench) -> list[AuditedCall]:
        """Return the shared calls that came over the wire."""
        batch = self.shared_call(bench)
        return [call for call in bench.sent() if (call.method, call.path) == (batch.method, batch.path)]

    def id_or_status(self, answer: RowAnswer) -> object:
        """Return the id of a record, or the status of an error."""
        if isinstance(answer, CrmError):
            return "ignored" if isinstance(answer, IgnoredError) else answer.status
        return None if answer is None else str(answer[self.subject.vendor.id_key])
