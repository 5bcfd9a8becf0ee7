"""Run a task in segments: from its start, or from a deferral, to its end or to the next deferral."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_crm.exceptions import ConfigurationError, CrmError, TransientError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.deferral import DeferralState
    from airflow_provider_crm.sync.settings import Settings
    from airflow_provider_crm.sync.task_run import Segment, TaskRun

_LONGEST_DEFERRAL = 90_000.0  # the day on which clocks are set back has 25 hours, and a daily limit ends with it


class SegmentedOperator(BaseOperator):
    """An operator that checks its arguments, runs in segments, and turns errors of the package into Airflow's."""

    crm_conn_id: str
    ledger_conn_id: str | None
    _segment: Segment
    _writing = False

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name; None for one that is checked where it is used."""
        raise NotImplementedError

    def perform(self, run: TaskRun) -> dict[str, Any]:
        """Do the operator's work, as far as it can be done now; return the task's result.

        Raises:
            CrmError: It could not be done, or not even begun.
        """
        raise NotImplementedError

    def settings(self) -> Settings:
        """Return the arguments as the run reads them; they have to be checked before."""
        from airflow_provider_crm.sync.settings import Settings

        return Settings(**{field.name: getattr(self, field.name) for field in fields(Settings)})

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the rows.

        Returns:
            The report, which is also in XCom when the task fails.

        Raises:
            AirflowFailException: The set-up is wrong, or too many rows failed permanently: a retry would not help.
            AirflowException: Too many rows failed, some of them for temporary reasons.
        """
        from airflow_provider_crm.sync.deferral import DeferralState

        return self._run_segment(context, DeferralState())

    def resume(
        self,
        context: Context,
        *,
        event: object = None,  # noqa: ARG002 - what the trigger passes
        **state: Any,
    ) -> dict[str, Any]:
        """Go on after a deferral.

        Args:
            context: Airflow's context.
            event: The trigger's event; not needed.
            state: What `DeferralState.resume_arguments` returned when the task was deferred.

        Raises:
            AirflowException: As `execute`; or another version of the package wrote the state, and it cannot be read.
        """
        from airflow_provider_crm.operators.failures import airflow_error
        from airflow_provider_crm.sync.deferral import DeferralState

        try:
            deferral = DeferralState.from_arguments(state)
        except TransientError as err:
            raise airflow_error(err, self.crm_conn_id) from None
        return self._run_segment(context, deferral)

    def on_kill(self) -> None:
        """End the run in order where Airflow's handler of SIGTERM calls this, while the run goes on.

        A worker has five seconds then, and Airflow retries the task if the task has not changed hands.
        """
        if self._writing:
            self._writing = False
            msg = "The task was ended by SIGTERM before all rows were processed."
            raise SystemExit(msg)

    def _run_segment(self, context: Context, deferral: DeferralState) -> dict[str, Any]:
        """Run until the end, or until the next deferral; errors become Airflow's."""
        from airflow_provider_crm.operators.failures import airflow_error
        from airflow_provider_crm.sync.gc_tuning import freeze_imports
        from airflow_provider_crm.sync.ledger_access import LedgerAccess
        from airflow_provider_crm.sync.run_end import log_end
        from airflow_provider_crm.sync.spans import span
        from airflow_provider_crm.sync.task_run import Segment, TaskRun

        self.read_arguments()
        with closing(LedgerAccess(self.ledger_conn_id)) as ledger:
            self._segment = Segment(self.settings(), context, deferral, ledger, self.log)
            run = TaskRun(self._segment)
            try:
                self._writing = True
                with freeze_imports(), span("crm.run"):
                    result = self.perform(run)
            # The sentence is sufficient: a second traceback above Airflow's own would only hide it.
            except CrmError as err:
                wait = run.wait_for(err) if isinstance(err, TransientError) else None
                if wait is None:
                    run.report_earlier(err)
                    failure = airflow_error(err, self.crm_conn_id)
                    log_end(run, failure, err)
                    raise failure from None
                self._defer(run, str(err), *wait)
            except TaskDeferred:
                raise
            except BaseException as err:
                log_end(run, err)
                raise
            else:
                log_end(run)
                return result
            finally:
                self._writing = False

    def read_arguments(self) -> None:
        """Check all arguments, and replace them by what the checks return, such as a boolean for rendered text.

        Raises:
            AirflowFailException: Some are wrong; it names them all.
        """
        from airflow_provider_crm.sync.arguments import check_arguments

        try:
            accepted = check_arguments(self.argument_checks(), self)
        except ConfigurationError as err:
            raise AirflowFailException(str(err)) from None
        for name, value in accepted.items():
            setattr(self, name, value)

    def _defer(self, run: TaskRun, why: str, seconds: float, deferral: DeferralState) -> NoReturn:
        """Free the worker slot until the vendor can be asked again."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        from airflow_provider_crm.sync.run_end import log_deferral

        log_deferral(run, why, seconds)
        delay = timedelta(seconds=min(seconds, _LONGEST_DEFERRAL))
        self.defer(trigger=TimeDeltaTrigger(delay), method_name="resume", kwargs=deferral.resume_arguments())
