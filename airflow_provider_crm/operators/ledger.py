"""An operator that looks after the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER

if TYPE_CHECKING:
    from airflow.sdk import Context


class PruneLedgerOperator(BaseOperator):
    """Delete changes that are older than some days, as `airflow crm prune` does; runs may write at the same time.

    Field states and plans that were not applied stay, and so does all that an undo of a younger run needs. The result
    of the task has the numbers of deleted rows.

    Args:
        keep_days: Days for which changes are kept, a whole number from 1; None for `[crm] keep_changes_days`. If that
            is empty, too, they are kept for ever: the task deletes nothing, and says so in its log.
        ledger_conn_id: Connection to the ledger's database; left out for the one that tasks use by default.
        kwargs: Airflow's own arguments.
    """

    template_fields: Sequence[str] = ("keep_days", "ledger_conn_id")

    def __init__(
        self, *, keep_days: int | str | None = None, ledger_conn_id: str = DEFAULT_LEDGER, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_days = keep_days
        self.ledger_conn_id = ledger_conn_id

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - Airflow's interface
        """Prune the ledger.

        Returns:
            Numbers of deleted rows, by the names of `Pruned`.

        Raises:
            AirflowFailException: An argument or a setting is wrong.
            LedgerUnavailableError: The database cannot be used; the task's retry goes on.
        """
        from airflow_provider_crm.exceptions import CrmError
        from airflow_provider_crm.operators.failures import airflow_error
        from airflow_provider_crm.sync.pruning import prune_ledger

        try:
            return prune_ledger(self.keep_days, self.ledger_conn_id)
        except CrmError as err:
            raise airflow_error(err, "") from err
