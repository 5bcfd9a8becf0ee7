"""Claims about values that stand for something else: a task writes what is meant, or nothing."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.sandbox.close.organization import CustomField
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator


@pytest.fixture
def deal(crm_sandbox):
    """A deal of a Close with a field of many values and one of numbers."""
    crm_sandbox.close.custom_fields["cf_tags"] = CustomField(id="cf_tags", name="Tags", type="text", multiple=True)
    crm_sandbox.close.add_opportunity("oppo_1", note="n")
    return crm_sandbox


@pytest.mark.parametrize("text", ["{a,b}", '[\n  "a",\n  "b"\n]', '["a","b"]'])
def test_a_list_that_a_driver_writes_as_text_arrives_as_a_list(deal, update, text):
    """An array of PostgreSQL, Snowflake or JSON fills a field of many values; added to a list it is refused."""
    end = update([{"id": "oppo_1", "tags": text}], fields={"tags": "custom.cf_tags"})
    assert end.outcomes == {"updated": 1}
    assert deal.close.opportunity("oppo_1")["custom.cf_tags"] == ["a", "b"]
    for suffix in (".add", ".remove"):
        end = update([{"id": "oppo_1", "tags": text}], fields={"tags": f"custom.cf_tags{suffix}"})
        assert end.rejects == {"oppo_1": ("invalid", "LIST")}
    assert deal.close.opportunity("oppo_1")["custom.cf_tags"] == ["a", "b"]


def test_scores_arrive_bit_by_bit(deal, update):
    """Doubles of a model land in a custom field of numbers, all of them, and are unchanged the next time."""
    scores = np.random.default_rng(1).random(50)
    for row in range(50):
        deal.close.add_opportunity(f"score_{row}")
    frame = pd.DataFrame({"id": [f"score_{row}" for row in range(50)], "score": scores})
    assert update(frame, fields={"score": "custom.cf_score"}).outcomes == {"updated": 50}
    assert [deal.close.opportunity(f"score_{row}")["custom.cf_score"] for row in range(50)] == scores.tolist()
    assert update(frame, fields={"score": "custom.cf_score"}).outcomes == {"unchanged": 50}


def test_infinity_is_the_date_of_no_win(deal, update):
    """A driver's value for `infinity` never becomes the date of a win, and the row and column are named."""
    rows = [
        {"id": "oppo_1", "won": dt.date.max},
        {"id": "oppo_2", "won": dt.date.min},
    ]  # as psycopg2 and DuckDB have it
    end = update(rows, fields={"won": "date_won"})
    assert end.rejects == {"oppo_1": ("invalid", "DATE_RANGE"), "oppo_2": ("invalid", "DATE_RANGE")}
    assert "column 'won': date_won takes dates of the years 1900 to 2200" in end.report["rejects"][0]["reason"]
    assert deal.close.opportunity("oppo_1")["date_won"] is None


def test_null_values_are_an_argument(deal, update):
    """Empty text does not empty a field; `nan` is written where the user says so; one text is no list of texts."""
    assert update([{"id": "oppo_1", "note": ""}], fields={"note": "notes"}).outcomes == {"unchanged": 1}
    assert deal.close.opportunity("oppo_1")["note"] == "n"
    assert update([{"id": "oppo_1", "note": "nan"}], fields={"note": "notes"}, null_values=[""]).outcomes == {
        "updated": 1
    }
    assert deal.close.opportunity("oppo_1")["note"] == "nan"
    end = update([{"id": "oppo_1", "note": "None"}], fields={"note": "notes"})
    hint = "which counts as a missing value; pass null_values=[''] to write such text."
    assert end.report["warnings"][0] == f"Column 'note': 1 row has the text 'None', {hint}"
    end = update([{"id": "oppo_1", "note": ""}], fields={"note": "notes"}, null_values="")
    assert str(end.error).startswith("null_values is ''; write a list of the texts that are missing values")
    assert "null_values" in UpdateOpportunityOperator.template_fields
    assert "null_values" in SqlToOpportunityOperator.template_fields
