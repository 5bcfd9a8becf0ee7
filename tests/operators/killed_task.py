"""A task in a process of its own, which is killed while it waits: no code of it runs then, as when a worker dies."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from tests.operators.conftest import Run


class Killed(UpdateOpportunityOperator):
    """The operator on a machine that dies at the first wait between two attempts."""

    def session_for(self, account):
        """Use a clock that kills."""
        clock = Clock(monotonic=time.monotonic, sleep=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)


def main() -> None:
    """Write the rows, as far as it gets."""
    run = Run()
    run.context["ti"].task_id = "deal_values"
    Killed(task_id="deal_values", **json.loads(sys.argv[1])).execute(run.context)


if __name__ == "__main__":
    main()
