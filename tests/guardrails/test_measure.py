"""The table of guardrails: each limit is measured, so that a new one is a field and a line."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest

from airflow_provider_crm.exceptions import GuardrailError
from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.guardrails.limits import CANARY, COMPARING, enforce
from airflow_provider_crm.guardrails.measure import MEASURES, ImpactEstimate
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.catalogue import Catalogue

LIMITS = [limit.name for limit in fields(Guardrails) if limit.name != CANARY]


def estimate(**counts):
    """What a run of 10 rows would do."""
    return ImpactEstimate(("notes",), VENDORS["raze"], Catalogue(fields={}), PushRules(), rows=10, **counts)


def test_every_limit_is_measured():
    """Each field of `Guardrails` has a line in the table, in the same order, and the limits that compare are fields."""
    assert list(MEASURES) == LIMITS
    assert set(COMPARING) < set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_checked_if_it_is_set(name):
    """A limit that was set has one check with a unit, and a limit that was not set has none."""
    (check,) = estimate().checks(Guardrails(**{name: 1}))
    assert (check.limit, check.allowed) == (name, Decimal(1))
    assert check.unit
    assert estimate().checks(Guardrails()) == ()


@pytest.mark.parametrize("name", LIMITS)
def test_a_canary_alone_measures_nothing(name):
    """Rows are read once more only for limits that have to be measured before the run writes."""
    assert not Guardrails(canary_rows=25).measures
    assert Guardrails(canary_rows=25, **{name: 1}).measures
    assert estimate().checks(Guardrails(canary_rows=25)) == ()


def test_a_broken_limit_stops_the_run():
    """The error names the number that was measured, its unit and the limit."""
    checks = estimate(invalid=4).checks(Guardrails(max_invalid_fraction=0.25, max_rows=10))
    with pytest.raises(GuardrailError) as stopped:
        enforce(checks)
    assert str(stopped.value).endswith("max_invalid_fraction: 0.4 of the rows are invalid (4 of 10), allowed are 0.25.")
    enforce(estimate(invalid=2).checks(Guardrails(max_invalid_fraction=0.25)))
