"""A task in a process of its own, which can be killed: prints its report, and the error that ended it.

    python -m tests.operators.task_process '{"data": ...}' TRY_NUMBER [--dies]

With `--dies` it kills itself at the first wait between two attempts, as when a worker dies there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from tests.operators.conftest import Run


class Dying(UpdateOpportunityOperator):
    """The operator on a machine that dies at the first wait between two attempts."""

    def session_for(self, account):
        """Use a clock that kills."""
        clock = Clock(monotonic=time.monotonic, sleep=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)


def main() -> None:
    """Write the rows, as far as it gets."""
    arguments, try_number = json.loads(sys.argv[1]), int(sys.argv[2])
    run = Run(try_number=try_number)
    run.context["ti"].task_id = arguments["task_id"]
    kind = Dying if "--dies" in sys.argv else UpdateOpportunityOperator
    run.of(kind(**arguments).execute)
    while run.deferred is not None:  # Airflow would wait
        state, run.deferred = run.deferred.kwargs, None
        run.of(partial(kind(**arguments).resume, **state))
    sys.stdout.write(json.dumps({"report": run.report, "error": str(run.error) if run.error else None}))


if __name__ == "__main__":
    main()
