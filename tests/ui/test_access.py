"""Claims about access: no page without a login, and no row of a Dag that the user may not read."""

from __future__ import annotations

import pytest

from .conftest import CLOSE

ROUTES = {
    "": {},
    "dag-run": {"dag_id": "sales_sync", "run_id": "r"},
    "task": {"dag_id": "sales_sync", "run_id": "r", "task_id": "t"},
    "run": {"run_key": "sales_sync/t/r"},
    "running": {},
    "run-progress": {"run_key": "sales_sync/t/r"},
    "refused.csv": {},
    "run.csv": {"run_key": "sales_sync/t/r"},
    "record": {"record_id": "oppo_1"},
    "plan": {"plan_id": "p"},
    "plan.csv": {"plan_id": "p"},
    "static/crm.css": {},
}


@pytest.fixture
def two_teams(log):
    """A run, a plan and a change of the same record by each of two teams."""
    for dag_id, amount in (("sales_sync", "11100"), ("finance_sync", "99900")):
        key = f"{dag_id}/t/r"
        log.run(key, outcomes={"updated": 1, "rejected": 1})
        log.change(key, before="100", after=amount)
        log.change(key, record_id=f"oppo_{dag_id}", after="1", outcome="rejected", code="NO", reason="no")
    log.state("finance_sync/t/r", value="99900")
    log.plan("p", "sales_sync/t/r", [("oppo_1", "value", "update", "100", "11100")])


def test_every_route_is_among_those_tried(pages):
    """The list of routes in these tests is the application's own."""
    paths = {route.path.removeprefix("/").replace("{name}", "crm.css") for route in pages.routes}
    assert paths == set(ROUTES)


@pytest.mark.parametrize("path", ROUTES)
def test_no_page_without_a_token(browser, two_teams, path):
    """Without a token every route answers 401 and shows nothing of the ledger."""
    answer = browser(None).get(path, **ROUTES[path])
    assert answer.status_code == 401
    assert ("oppo_sales_sync" in answer.text, "111.00" in answer.text) == (False, False)


@pytest.mark.parametrize("path", ROUTES)
def test_no_page_with_a_bad_token(browser, two_teams, path):
    """A token that Airflow did not sign is refused by every route."""
    visitor = browser(None)
    visitor.cookies["_token"] = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290Iiwicm9sZSI6IkFETUlOIn0."
    answer = visitor.get(path, **ROUTES[path])
    assert answer.status_code == 403
    assert "Log in again." in answer.text
    assert ("oppo_sales_sync" in answer.text, "111.00" in answer.text) == (False, False)


@pytest.mark.parametrize("path", [path for path in ROUTES if path])
def test_the_own_dag_is_shown(browser, two_teams, path):
    """A user who may read the Dag gets every page."""
    assert browser("anna").get(path, **ROUTES[path]).status_code == 200


@pytest.mark.parametrize("path", ["dag-run", "task", "run", "run.csv", "plan"])
def test_a_dag_of_others_is_as_if_it_were_not_there(browser, two_teams, path):
    """A user without the Dag gets the very answer that a Dag which does not exist gets."""
    answer = browser("ben").get(path, **ROUTES[path])
    missing = {name: value.replace("sales_sync", "no_such").replace("p", "q") for name, value in ROUTES[path].items()}
    nothing = browser("ben").get(path, **missing)
    assert (answer.status_code, answer.text) == (404, nothing.text)


def test_the_overview_counts_own_dags_only(browser, two_teams):
    """Runs and sums of others are not in the overview."""
    shown = browser("anna").text("")
    assert "sales_sync" in shown
    assert "finance_sync" not in shown
    assert "<dt>landed</dt><dd>1</dd>" in shown
    assert "<dt>landed</dt><dd>2</dd>" in browser("root").text("")


def test_a_record_shows_own_dags_only(browser, two_teams):
    """Of a record that two teams write, each sees its own writes, and a present value only if it wrote that."""
    own, other = (browser(name).text("record", record_id="oppo_1", account=CLOSE) for name in ("anna", "ben"))
    assert ("111.00" in own, "999.00" in own, "finance_sync" in own) == (True, False, False)
    assert ("111.00" in other, "999.00" in other, "sales_sync" in other) == (False, True, False)


def test_a_record_of_others_is_not_found(browser, two_teams):
    """The id of a record that only others have written reveals nothing."""
    shown = browser("ben").text("record", record_id="oppo_sales_sync")
    assert "This record is not known" in shown


def test_the_answers_carry_a_strict_policy(browser, two_teams):
    """No page may run or show anything from elsewhere, inline scripts and styles included, or be stored by a cache."""
    for path, parameters in ROUTES.items():
        answer = browser("anna").get(path, **parameters)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "style=" not in answer.text
        assert "no-store" in answer.headers["cache-control"] or path.startswith("static/")


def test_a_plan_names_no_run_of_others(browser, log):
    """A plan of an own Dag that reverts, or was applied by, a run of another Dag does not reveal its key."""
    others = {"reverts": "finance_sync/t/r", "applied_by": "finance_sync/apply/r"}
    log.plan("p", "sales_sync/t/r", [("oppo_1", "value", "update", "1", "2")], **others)
    assert "finance_sync" not in browser("anna").text("plan", plan_id="p")
    assert browser("root").text("plan", plan_id="p").count("finance_sync") == 4
