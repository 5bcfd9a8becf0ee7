"""Read the rows of a run from their source, and remember how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.sync.ends import source_error

if TYPE_CHECKING:
    from airflow_provider_crm.push.rules import Inspect
    from airflow_provider_crm.values.opportunity import Outcome, Update


def _do_nothing() -> None:
    """Finish a source that stores nothing about its runs."""


class RowStream:
    """The rows of a source, up to the row at which it breaks.

    Args:
        items: Updates and outcomes, in order.
        total: Number of all rows, or None where it is not known before they are read.
        inspect: Decides about each record right before it is written, see `Push`.
        finish: Called when every row has its outcome.

    Attributes:
        rows: Number of rows that were read.
        broke: The exception that the source raised, or None.
    """

    def __init__(
        self,
        items: Iterable[Update | Outcome],
        *,
        total: int | None = None,
        inspect: Inspect | None = None,
        finish: Callable[[], None] = _do_nothing,
    ) -> None:
        self.total = total
        self.inspect = inspect
        self.finish = finish
        self.rows = 0
        self.broke: Exception | None = None
        self._items = items

    def __iter__(self) -> Iterator[Update | Outcome]:
        try:
            for item in self._items:
                self.rows += 1
                yield item
        except Exception as err:  # noqa: BLE001 - a source may raise anything; the run reports it once the rows have ended
            self.broke = err

    @property
    def wait(self) -> float | None:
        """Seconds that the vendor asks to wait before it looks up more keys; None if it does not."""
        broke = self.broke
        return broke.retry_after if isinstance(broke, TransientError) and broke.vendor else None

    def raise_error(self) -> None:
        """Raise the exception of a source that broke, as an error that says what to do."""
        if self.broke is not None:
            raise source_error(self.broke, self.rows) from self.broke
