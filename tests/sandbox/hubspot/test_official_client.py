"""HubSpot's own Python client works against the sandbox: the two read the API alike."""

from __future__ import annotations

from datetime import datetime

import hubspot
import pytest
from hubspot.crm import deals as deal_models
from hubspot.crm.deals.exceptions import ApiException


@pytest.fixture
def client(sandbox, account):
    """Return HubSpot's client with the token of the private app."""
    return hubspot.HubSpot(access_token=account.access_token, host=sandbox.url)


@pytest.fixture
def deals(client):
    """Return the part of the client for deals."""
    return client.crm.deals


def test_reads_a_deal(deals):
    """Times are parsed, and properties are the texts that were stored."""
    deal = deals.basic_api.get_by_id("1001", properties=["amount", "dealname"])
    assert (deal.id, deal.properties["amount"], deal.properties["dealname"]) == ("1001", "100.00", "Deal 1001")
    assert (deal.archived, type(deal.updated_at)) == (False, datetime)


def test_reads_a_deal_with_its_history(deals):
    """Earlier values come with the time of each."""
    deals.basic_api.update("1001", deal_models.SimplePublicObjectInput(properties={"amount": "5"}))
    deal = deals.basic_api.get_by_id("1001", properties_with_history=["amount"])
    assert [one.value for one in deal.properties_with_history["amount"]] == ["5", "100.00"]


def test_lists_all_deals(deals, account):
    """Its pages follow one another to the end."""
    ids = [account.add_opportunity()["id"] for _ in range(230)]
    assert [deal.id for deal in deals.get_all()] == ["1001", "1002", "1003", *ids]


def test_updates_a_deal(deals, account):
    """A PATCH writes the properties, and the client reads the answer."""
    sent = deal_models.SimplePublicObjectInput(properties={"amount": "7.50", "closedate": "2026-12-31T17:00:00Z"})
    deal = deals.basic_api.update("1002", sent)
    assert (deal.properties["amount"], deal.properties["closedate"]) == ("7.50", "2026-12-31T17:00:00Z")
    assert account.opportunity("1002")["properties"]["amount"] == "7.50"


def test_creates_and_archives_a_deal(deals, account):
    """A deal is created, and archived again."""
    sent = deal_models.SimplePublicObjectInputForCreate(properties={"dealname": "New"}, associations=[])
    made = deals.basic_api.create(sent)
    assert account.opportunity(made.id)["properties"]["dealname"] == "New"
    deals.basic_api.archive(made.id)
    assert account.opportunity(made.id)["archived"] is True


def batch(**values):
    """Return the body of a batch: a property `amount` by record id, each with a trace."""
    inputs = [
        deal_models.SimplePublicObjectBatchInput(id=one[1:], properties={"amount": value}, object_write_trace_id=one)
        for one, value in values.items()
    ]
    return deal_models.BatchInputSimplePublicObjectBatchInput(inputs=inputs)


def test_updates_a_batch(deals, account):
    """All rows of a batch are written."""
    answer = deals.batch_api.update(batch(r1001="1", r1003="3"))
    assert (answer.status, {one.id: one.properties["amount"] for one in answer.results}) == (
        "COMPLETE",
        {"1001": "1", "1003": "3"},
    )
    assert account.opportunity("1003")["properties"]["amount"] == "3"


def test_a_batch_of_which_some_rows_fail(deals):
    """The client reads the errors of a 207: the trace of a bad value, the ids that do not exist."""
    answer = deals.batch_api.update(batch(r1001="1", r1002="x", r77="7"))
    assert (type(answer).__name__, answer.num_errors) == ("BatchResponseSimplePublicObjectWithErrors", 2)
    contexts = [error.context for error in answer.errors]
    assert contexts == [{"ids": ["77"]}, {"objectWriteTraceId": ["r1002"]}]
    assert [one.id for one in answer.results] == ["1001"]


def test_upserts_a_batch(deals):
    """A unique value finds its deal or makes one."""
    inputs = [
        deal_models.SimplePublicObjectBatchInputUpsert(
            id=key, id_property="warehouse_deal_key", properties={"amount": "5"}
        )
        for key in ("key-1", "key-9")
    ]
    answer = deals.batch_api.upsert(deal_models.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs))
    assert {one.id == "1001": one.new for one in answer.results} == {True: False, False: True}


def test_reads_a_batch(deals):
    """Records are found by a unique property."""
    body = deal_models.BatchReadInputSimplePublicObjectId(
        inputs=[deal_models.SimplePublicObjectId(id="key-3")],
        id_property="warehouse_deal_key",
        properties=["amount"],
        properties_with_history=[],
    )
    assert [one.id for one in deals.batch_api.read(body).results] == ["1003"]


def test_searches(deals):
    """A search with filters, sorts and pages finds deals."""
    above = deal_models.Filter(property_name="amount", operator="GT", value="150")
    request = deal_models.PublicObjectSearchRequest(
        filter_groups=[deal_models.FilterGroup(filters=[above])],
        sorts=["-amount"],
        properties=["amount"],
        limit=1,
    )
    page = deals.search_api.do_search(request)
    assert (page.total, [one.id for one in page.results], page.paging.next.after) == (2, ["1003"], "1")


def test_merges(deals, account):
    """One deal is merged into another one, which answers for both."""
    merged = deals.basic_api.merge(deal_models.PublicMergeInput(primary_object_id="1001", object_id_to_merge="1002"))
    assert (merged.id, deals.basic_api.get_by_id("1002").id) == ("1001", "1001")


def test_reads_definitions(client):
    """Properties, pipelines, owners and their types are as the client's classes have them."""
    properties = {one.name: one for one in client.crm.properties.core_api.get_all("deals").results}
    tier = properties["customer_tier"]
    assert (tier.type, [one.label for one in tier.options]) == ("enumeration", ["Gold", "Silver", "Bronze", "Trial"])
    assert properties["warehouse_deal_key"].has_unique_value is True
    assert properties["createdate"].modification_metadata.read_only_value is True
    sales, _ = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert sales.stages[5].metadata == {"isClosed": "true", "probability": "1.0"}
    (ada, _) = client.crm.owners.owners_api.get_page().results
    assert (ada.email, type(ada.created_at)) == ("ada@sandbox.example", datetime)


def test_refusals(deals):
    """The client raises the error with the body of the API."""
    with pytest.raises(ApiException) as refused:
        deals.basic_api.update("1001", deal_models.SimplePublicObjectInput(properties={"dealstage": "registered"}))
    assert refused.value.status == 400
    assert "registered is not a valid pipeline stage ID. Valid options are: pipelineId=default" in refused.value.body
    with pytest.raises(ApiException) as missing:
        deals.basic_api.get_by_id("77")
    assert missing.value.status == 404


def test_refreshes_a_token(client, account):
    """The OAuth endpoint answers with what the client's class of tokens has."""
    tokens = account.tokens
    made = client.oauth.tokens_api.create(
        grant_type="refresh_token",
        client_id=tokens.client_id,
        client_secret=tokens.client_secret,
        refresh_token=tokens.refresh_token,
    )
    assert (made.token_type, made.expires_in, made.access_token) == ("bearer", 1800, tokens.access_token)
