"""Tables of a query are found among the models and sources of a dbt project."""

from __future__ import annotations

import json

import pytest

from airflow_provider_crm.commands.dbt_models import DbtModels, tables_of
from airflow_provider_crm.exceptions import ConfigurationError

MANIFEST = {
    "nodes": {
        "model.shop.deals": {
            "resource_type": "model",
            "name": "fct_deals",
            "alias": "deals",
            "schema": "marts",
            "database": "warehouse",
        },
        "model.shop.old": {"resource_type": "model", "name": "old_deals", "alias": "deals", "schema": "old"},
        "test.shop.unique": {"resource_type": "test", "name": "unique", "schema": "marts"},
    },
    "sources": {
        "source.shop.app.users": {"source_name": "app", "name": "users", "identifier": "users_v2", "schema": "app"},
    },
}


@pytest.fixture
def models(tmp_path):
    """A project with two models, a test and a source."""
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(MANIFEST))
    return DbtModels(str(path))


def test_tables_are_those_after_from_and_join():
    """In any case, with quotes and schema, and not those of comments."""
    sql = """SELECT a -- from nothing
        FROM "Marts"."Deals" d /* join ghosts */ JOIN `app`.users_v2 u ON u.id = d.id"""
    assert tables_of(sql) == ["marts.deals", "app.users_v2"]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT 1 FROM marts.deals", ["ref('fct_deals')"]),
        ("SELECT 1 FROM warehouse.marts.deals", ["ref('fct_deals')"]),
        ("SELECT 1 FROM old.deals", ["ref('old_deals')"]),
        ("SELECT 1 FROM marts.deals JOIN app.users_v2 USING (id)", ["ref('fct_deals')", "source('app', 'users')"]),
        ("WITH a AS (SELECT 1 FROM users_v2) SELECT 1 FROM a", ["source('app', 'users')"]),
        ("SELECT 1 FROM elsewhere.deals", []),
    ],
)
def test_models_are_found_by_schema_and_alias(models, sql, found):
    """What is no model of the project is left out, as dbt refuses it."""
    assert models.read_by(sql) == found


@pytest.mark.parametrize("text", ["", "[]", '{"nodes": 3}'])
def test_a_file_that_is_no_manifest_is_an_error(tmp_path, text):
    """It says how to make one."""
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"is no manifest of dbt .*`dbt parse` writes target/manifest\.json"):
        DbtModels(str(path))
