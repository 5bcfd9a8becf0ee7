"""The lineage that an operator gives to OpenLineage's own extractor, for sources other than queries."""

from __future__ import annotations

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from airflow_provider_crm.assets import convert_asset_to_openlineage, create_asset
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import Run


@pytest.fixture
def ran(deals):
    """Run a task; returns what the extractor finds before and after it, and the report."""

    def run(**arguments):
        operator = UpdateOpportunityOperator(
            task_id="task",
            crm_conn_id="close_default",
            id_column="id",
            fields={"arr": "deal_value"},
            data=[{"id": "oppo_0", "arr": 1}, {"id": "oppo_1", "arr": "x"}],
            ledger_conn_id=None,
            **arguments,
        )
        extractor = DefaultExtractor(operator)
        before = extractor.extract()
        done = Run().of(operator.execute)
        return before, extractor.extract_on_failure(None), done

    return run


def test_a_list_has_an_output_and_no_inputs(ran):
    """The written fields are outputs; the origin of a list is not invented."""
    before, after, done = ran()
    assert before.outputs == []
    (output,) = after.outputs
    assert (after.inputs, list(output.facets)) == ([], ["schema"])
    assert output.outputFacets["outputStatistics"].rowCount == done.report["outcomes"]["updated"] == 1


def test_the_output_is_the_dataset_of_the_asset(ran):
    """Lineage made from assets and lineage made from operators meet in one dataset."""
    _, after, done = ran()
    asset = convert_asset_to_openlineage(create_asset(account=done.report["account"]), None)
    assert [(one.namespace, one.name) for one in after.outputs] == [(asset.namespace, asset.name)]


def test_a_dry_run_has_no_output(ran):
    """A run that writes nothing has no output."""
    _, after, _ = ran(dry_run=True)
    assert after.outputs == []
