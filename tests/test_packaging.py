"""What Airflow reads about the provider, and what the settings of the project name."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
from packaging.requirements import Requirement

from airflow_provider_crm.client.account import DEFAULT_TIMEOUT
from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.provider_info import connection_type, get_provider_info, integration
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, ExtraField

ROOT = Path(__file__).parent.parent

NAMING = (".ci/matrix", ".ci/run", ".pre-commit-config.yaml", "CONTRIBUTING.md", "README.md", "pyproject.toml")
IN_THE_WHEEL = "airflow_provider_crm/example_dags"


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="an sdist has no scripts")
@pytest.mark.parametrize("name", NAMING)
def test_every_path_that_is_named_exists(name):
    """Scripts, settings and manuals name no test, module or example DAG that has moved away."""
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./-])(?:tests|airflow_provider_crm|example_dags|\.ci)/[\w./-]*\w", text)
    assert [path for path in named if path != IN_THE_WHEEL and not (ROOT / path).exists()] == []


def schema(name):
    """One of the schemas that Airflow ships."""
    return json.loads(files("airflow").joinpath(name).read_text(encoding="utf-8"))


def test_provider_info_has_the_form_airflow_loads():
    """Airflow's own schema for provider info accepts it: a provider that does not fit is not loaded."""
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


@pytest.mark.parametrize("key", ["asset-uris", "connection-types", "extra-links", "hooks", "operators", "transfers"])
def test_provider_info_has_no_misspelt_key(key):
    """The stricter schema of Airflow's own providers accepts each part: misspelt keys are ignored without a word."""
    info = get_provider_info()
    if key in info:
        jsonschema.validate(info[key], schema("provider.yaml.schema.json")["properties"][key])


class Acme:
    """As much of a vendor as a provider info shows."""

    name, display_name, origin = "acme", "Acme CRM", "https://api.acme.example"
    documentation, api_key_label = "https://docs.acme.example", "Private token"
    extra: ClassVar = {"pin": ExtraField("PIN", "Of the token.", secret=True)}


def test_another_distribution_makes_its_provider_info_with_the_same_functions():
    """Its entries have the form that Airflow loads: the class is the one that it names, the form has its own fields."""
    types = [connection_type(Acme(), "acme_crm.hook.AcmeHook")]
    info = {"package-name": "acme-crm", "name": "Acme", "description": "Acme CRM", "connection-types": types}
    jsonschema.validate(info, schema("provider_info.schema.json"))
    strict = schema("provider.yaml.schema.json")["properties"]
    jsonschema.validate(types, strict["connection-types"])
    jsonschema.validate([integration(Acme())], strict["integrations"])
    assert (types[0]["connection-type"], types[0]["hook-class-name"]) == ("acme", "acme_crm.hook.AcmeHook")
    assert types[0]["ui-field-behaviour"]["relabeling"]["password"] == "Private token"
    assert types[0]["ui-field-behaviour"]["placeholders"] == {"host": "https://api.acme.example"}
    assert types[0]["conn-fields"].keys() == {*COMMON_EXTRA, "pin"}
    assert types[0]["conn-fields"]["pin"]["schema"] == {"type": ["string", "null"], "format": "password"}


def test_provider_info_names_only_known_parts():
    """Each key of provider info is one that Airflow's schemas know."""
    known = [schema(name)["properties"] for name in ("provider_info.schema.json", "provider.yaml.schema.json")]
    assert get_provider_info().keys() <= known[0].keys() | known[1].keys()


def forms():
    """The extra fields of the connection form, for each vendor."""
    return [one["conn-fields"] for one in get_provider_info()["connection-types"]]


def test_the_form_says_what_happens_without_a_zone():
    """It promises no default: without a zone a point in time is refused for a date, and a date stays a date."""
    assert all("Default" not in form["timezone"]["description"] for form in forms())
    assert all("a point in time is refused" in form["timezone"]["description"] for form in forms())
    rules, date_won = ValueRules(timezone=None), Field("date_won", "date_won", Kind.DATE)
    for moment in ("2026-03-07 23:30:00", "2026-03-07T23:30:00+01:00", dt.datetime(2026, 3, 7, tzinfo=dt.UTC)):
        with pytest.raises(InvalidValueError) as refused:
            rules.value(date_won, moment)
        assert refused.value.code == "NO_TIMEZONE"
    assert rules.value(date_won, dt.date(2026, 3, 7)) == dt.date(2026, 3, 7)


def test_the_form_names_the_real_default_of_the_timeout():
    """The seconds that the form names are those that a connection without the field gets."""
    assert all(f"Default {DEFAULT_TIMEOUT:g}." in form["timeout"]["description"] for form in forms())


def own_entry_points(group):
    """The entry points of this package in one group."""
    return [one for one in entry_points(group=group) if one.value.startswith("airflow_provider_crm.")]


def test_entry_points_are_declared():
    """Airflow finds the provider and its page, and pytest the fixture, by entry points."""
    (provider,) = own_entry_points("apache_airflow_provider")
    assert provider.load()() == get_provider_info()
    assert [one.name for one in own_entry_points("pytest11")] == ["airflow_provider_crm"]
    assert [one.name for one in own_entry_points("airflow.plugins")] == ["crm"]


def test_constraints_pin_every_direct_dependency():
    """Whatever the package asks for, extras and build included, has one version in constraints.txt, and no address."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    loose = [pin for pin in pins if pin.url or [one.operator for one in pin.specifier] != ["=="]]
    pinned = {normal(pin.name) for pin in pins}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    texts = [*settings["build-system"]["requires"], *project["dependencies"]]
    texts += [text for extra in project["optional-dependencies"].values() for text in extra]
    asked = {normal(Requirement(text).name) for text in texts} - {"airflow-provider-crm"}
    assert (loose, asked - pinned) == ([], set())


def normal(name):
    """A distribution's name as it is compared."""
    return name.lower().replace("_", "-").replace(".", "-")
