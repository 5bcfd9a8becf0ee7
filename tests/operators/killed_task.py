"""A task in a process of its own that is killed while it writes; its claims end soon after."""

from __future__ import annotations

from unittest import mock

from airflow_provider_crm.client.account import DEFAULT_TIMEOUT
from tests.operators.conftest import Impatient, Run

_LEASE = 20.0


def main() -> None:
    """Write six rows, one after the other."""
    rows = [{"id": f"oppo_{number}", "arr": number + 5} for number in range(6)]
    operator = Impatient(
        task_id="deal_values",
        data=rows,
        id_column="id",
        fields={"arr": "deal_value"},
        crm_conn_id="close_default",
        ledger_conn_id="crm_ledger",
        concurrency=1,
    )
    run = Run()
    run.context["ti"].task_id = operator.task_id
    with mock.patch("airflow_provider_crm.sync.ledger_access._LEASE_MARGIN", _LEASE - 2 * DEFAULT_TIMEOUT):
        operator.execute(run.context)


if __name__ == "__main__":
    main()
