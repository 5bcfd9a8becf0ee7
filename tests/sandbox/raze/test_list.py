"""Raze: the list of opportunities."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def more_opportunities(sandbox):
    """Add two more opportunities, created later."""
    sandbox.raze.add_opportunity("opp_1", name="Ada", status="won", created_at="2026-01-01T00:00:00Z")
    sandbox.raze.add_opportunity(
        "opp_2", name="Bob", company="Ada Ltd", source="list", created_at="2026-01-02T00:00:00Z"
    )
    sandbox.raze.add_opportunity(
        "opp_3", name="Cy", campaign_id="camp_spring", responsible_user_id="usr_ada", created_at="2026-01-03T00:00:00Z"
    )


def ids(answer):
    """Return the ids of a page."""
    return [one["id"] for one in answer.json()["data"]["opportunities"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["opp_3", "opp_2", "opp_1"]),
        ({"sort_order": "asc"}, ["opp_1", "opp_2", "opp_3"]),
        ({"sort_by": "name"}, ["opp_3", "opp_2", "opp_1"]),
        ({"sort_by": "company"}, ["opp_2", "opp_1", "opp_3"]),
        ({"search": "ada"}, ["opp_2", "opp_1"]),
        ({"status": "won"}, ["opp_1"]),
        ({"source": "list"}, ["opp_2"]),
        ({"campaign_id": "camp_spring"}, ["opp_3"]),
        ({"responsible_user_id": "usr_ada"}, ["opp_3"]),
        ({"limit": 2}, ["opp_3", "opp_2"]),
        ({"limit": 2, "page": 2}, ["opp_1"]),
    ],
)
def test_list_chooses_and_sorts(raze, query, found):
    """Filters, search, order and page work; the newest come first by default."""
    assert ids(raze.get("/opportunities", params=query)) == found


def test_pagination_is_in_the_data(raze):
    """Pagination is inside of `data`."""
    pagination = raze.get("/opportunities?limit=2").json()["data"]["pagination"]
    assert pagination == {"page": 1, "limit": 2, "total": 3, "total_pages": 2}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "page=0", "sort_by=nothing", "sort_order=up"])
def test_wrong_parameter_is_refused(raze, query):
    """A parameter out of its range is `INVALID_PARAMETER`."""
    answer = raze.get(f"/opportunities?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_PARAMETER")


def test_pagination_can_be_at_the_top(raze, sandbox):
    """By switch `data` is the list itself and pagination stands beside it, with 50 to a page."""
    sandbox.set(raze_top_level_pagination=True)
    body = raze.get("/opportunities").json()
    expected = {"page": 1, "per_page": 50, "total": 3, "total_pages": 1, "has_next": False, "has_prev": False}
    assert ([one["id"] for one in body["data"]], body["pagination"]) == (["opp_3", "opp_2", "opp_1"], expected)
