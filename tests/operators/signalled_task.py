"""A task in a process of its own, which ends by a signal: prints what is in XCom then, and by what it ended.

It has the handlers that Airflow's task runner has: SIGTERM calls `on_kill`, SIGALRM is the `execution_timeout`.
"""

from __future__ import annotations

import json
import signal
import sys

from airflow.sdk.execution_time.timeout import timeout

from tests.operators.conftest import Impatient, Run

ROWS = 400


def main() -> None:
    """Write the rows, and print how the task ended."""
    rows = [{"id": f"oppo_{number}", "arr": number + 10} for number in range(ROWS)]
    operator = Impatient(
        task_id="task",
        data=rows,
        id_column="id",
        fields={"arr": "deal_value"},
        crm_conn_id="close_default",
        concurrency=4,
        rejects_path=sys.argv[1],
    )
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    run, ended_by = Run(), "nothing"
    try:
        with timeout(1_000):
            operator.execute(run.context)
    except BaseException as err:  # noqa: BLE001 - whatever the task ends by
        ended_by = type(err).__name__
    operator.on_kill()  # as Airflow does after a timeout: there is nothing left to end
    sys.stdout.write(json.dumps({"ended_by": ended_by, "xcom": run.xcom}))


if __name__ == "__main__":
    main()
