"""The tree of errors matches its drawing, and no error loses an attribute when it is pickled."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from airflow_provider_crm import exceptions
from airflow_provider_crm.exceptions import CrmError

CLASSES = {name: one for name, one in vars(exceptions).items() if isinstance(one, type) and issubclass(one, Exception)}
DRAWN = re.compile(r"^    (?P<lines>[│ ├└─]*)(?P<name>[A-Z]\w+Error)", re.MULTILINE)


def drawn():
    """Parent by class, as the docstring draws them."""
    parents, above = {}, []
    for match in DRAWN.finditer(exceptions.__doc__):
        depth = len(match["lines"]) // 4
        del above[depth:]
        parents[match["name"]] = above[-1] if above else "Exception"
        above.append(match["name"])
    return parents


def test_the_drawing_is_the_tree():
    """The tree in the module's docstring names every class under its parent."""
    assert drawn() == {name: one.__bases__[0].__name__ for name, one in CLASSES.items()}


def test_all_names_every_class():
    """`__all__` names each error, and nothing else."""
    assert exceptions.__all__ == sorted(CLASSES)


def test_every_class_has_one_parent():
    """There are few classes, each ends in `Error`, has a docstring of its own, and has one parent."""
    assert len(CLASSES) <= 17
    assert all(name.endswith("Error") and one.__doc__ and len(one.__bases__) == 1 for name, one in CLASSES.items())
    assert len({one.__doc__ for one in CLASSES.values()}) == len(CLASSES)


@pytest.mark.parametrize("kind", CLASSES.values())
@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_errors_are_pickled_with_all_attributes(kind, copied):
    """Type, message and every attribute survive pickling and copying, also one that was added after it was made."""
    error = kind(
        "text",
        vendor="close",
        status=400,
        code="CODE",
        request_id="req_1",
        record_id="oppo_1",
        field_errors={"value": "bad"},
        retry_after=1.5,
    )
    error.applied = ("notes",)
    clone = copied(error)
    assert (type(clone), str(clone), clone.args, vars(clone)) == (kind, "text", ("text",), vars(error))


@pytest.mark.parametrize("kind", CLASSES.values())
def test_every_attribute_has_a_default(kind):
    """A message is enough; the other attributes have a default that says "not known"."""
    error = kind("text")
    assert (error.vendor, error.status, error.request_id, error.record_id) == ("", None, None, None)
    assert error.code == kind.default_code
    assert (error.field_errors, error.retry_after, error.applied) == ({}, None, ())


def test_what_stops_a_run_keeps_its_code():
    """Users group by codes, so each class that names why a run stops, or a row was left out, has a fixed one."""
    assert {name: one.default_code for name, one in CLASSES.items() if one.default_code} == {
        "ClaimLostError": "TAKEN_OVER",
        "UploadRunningError": "UPLOADED",
        "GuardrailError": "GUARDRAIL",
        "LedgerUnavailableError": "LEDGER",
        "NotReachedError": "ENDED",
        "OutageError": "OUTAGE",
        "SourceUnreadableError": "SOURCE",
    }


def test_a_code_of_its_own_replaces_the_default():
    """An error that was raised with a code has that one, whatever its class."""
    assert exceptions.OutageError("text", code="BAD_GATEWAY").code == "BAD_GATEWAY"


def test_the_attributes_are_documented():
    """Each attribute of an error is described at the root."""
    assert [name for name in (*vars(CrmError("text")), "applied") if f"{name}: " not in CrmError.__doc__] == []


def test_field_errors_are_the_errors_own():
    """A later change of the caller's mapping does not change the error."""
    given = {"value": "bad"}
    error = CrmError("text", field_errors=given)
    given.clear()
    assert error.field_errors == {"value": "bad"}
