"""The arguments of a task reach its run as one frozen value, and the run never asks the operator again."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.values.opportunity import FAILURES, OutcomeWord

from .conftest import Impatient


class ChangedWhileItRuns(Impatient):
    """An operator whose arguments change when its run makes the session."""

    def session_for(self, account):
        """Allow ten failed rows, too late."""
        self.max_rejected = 10
        return super().session_for(account)


@pytest.fixture
def settings():
    """Return the settings of an operator with such arguments."""

    def made(**arguments):
        operator = UpdateOpportunityOperator(
            task_id="task", crm_conn_id="close_default", data=[], id_column="id", fields={"arr": "stage"}, **arguments
        )
        operator.read_arguments()
        return operator.settings()

    return made


def test_an_operator_that_changes_does_not_change_its_run(deals, update):
    """The tolerance is that of the start of the run: one invalid row fails the task."""
    run = update([{"id": "oppo_0", "arr": "x"}], kind=ChangedWhileItRuns)
    assert run.outcomes == {"invalid": 1}
    assert "Not every row landed." in str(run.error)


def test_settings_are_frozen(settings):
    """No part of the run can change an argument for the others."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().max_rejected = 10


def test_settings_have_the_checked_arguments(settings):
    """A rendered template has become what it stands for."""
    checked = settings(dry_run="True", capture_before="false", rejects_path="")
    assert (checked.sends, checked.capture_before, checked.rejects_path) == (False, False, None)


def test_a_dry_run_does_not_fail_for_rows_that_were_not_sent(settings):
    """Every other failure counts in a dry run, too."""
    assert settings().failures == FAILURES
    assert settings(dry_run=True).failures == FAILURES - {OutcomeWord.NOT_SENT}
