"""Claims about runs against a portal, over real HTTP: both answers are right where HubSpot documents none."""

from __future__ import annotations

import pytest

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, IgnoredError, TransientError
from airflow_provider_crm.push.rules import check_fields
from airflow_provider_crm.values.opportunity import OutcomeWord
from tests.vendors.hubspot.by_hand import HUBSPOT

UPDATED, REJECTED, IGNORED = OutcomeWord.UPDATED, OutcomeWord.REJECTED, OutcomeWord.IGNORED
BATCH = "/crm/objects/2026-03/deals/batch/update"


def words(outcomes):
    """Return the words of outcomes."""
    return [outcome.word for outcome in outcomes]


@pytest.mark.parametrize("echoes_unchanged", [True, False])
@pytest.mark.parametrize("cleared_is_null", [True, False])
def test_values_that_a_deal_has_already(deals, echoes_unchanged, cleared_is_null):
    """A row of which the answer leaves out what did not change has landed; others of its call are not read."""
    deals.sandbox.set(hubspot_echoes_unchanged=echoes_unchanged, hubspot_cleared_is_null=cleared_is_null)
    same, other = deals.add(3, segment="north", description="old"), deals.add(3, segment="south", description="x")
    rows = [(one, {"segment": "north", "notes": None}) for one in (*same, *other)]
    assert words(deals.write(rows)) == [UPDATED] * 6
    assert words(deals.write(rows)) == [UPDATED] * 6
    reads = [call for call in deals.sent() if call.path.endswith("/batch/read") or call.path.endswith(same[0])]
    assert any(call.method != "PATCH" for call in reads) is not echoes_unchanged


def test_a_value_that_is_dropped_and_left_out(deals):
    """A value that was dropped is noticed, also where an answer may leave values out."""
    deals.sandbox.set(hubspot_echoes_unchanged=False)
    ids = deals.add(4, segment="south")
    deals.sandbox.set(ignored_ids=[ids[0], ids[2]])
    assert words(deals.write([(one, {"segment": "north"}) for one in ids])) == [IGNORED, UPDATED, IGNORED, UPDATED]


@pytest.mark.parametrize("names_rows", [True, False])
@pytest.mark.parametrize("names_properties", [True, False])
def test_one_bad_value_among_many(deals, names_rows, names_properties):
    """One row that HubSpot refuses has its own reason; the others land, whether the answer names rows or not."""
    deals.sandbox.set(hubspot_names_rows=names_rows, hubspot_names_properties=names_properties)
    ids = deals.add(40)
    deals.sandbox.set(hubspot_rejected_ids=[ids[17]])
    outcomes = deals.write([(one, {"segment": "north"}) for one in ids])
    assert [outcome.row for outcome in outcomes if outcome.word is not UPDATED] == [17]
    assert (outcomes[17].word, outcomes[17].code) == (REJECTED, "VALIDATION_RULE")
    assert len([call for call in deals.sent() if call.path == BATCH]) == (1 if names_rows else 10)


def test_deals_that_were_archived_or_merged(deals):
    """A row of an archived deal is rejected; that of a merged one names the deal that answers, also in a batch."""
    first, gone, merged, survivor, last = deals.add(5)
    deals.portal.archive_opportunity(gone)
    address = f"{deals.session.account.origin}/crm/objects/2026-03/deals/merge"
    deals.session.http.post(address, json={"primaryObjectId": survivor, "objectIdToMerge": merged})
    outcomes = deals.write([(one, {"segment": "north"}) for one in (first, gone, merged, last)])
    assert words(outcomes) == [UPDATED, REJECTED, IGNORED, UPDATED]
    assert (outcomes[1].code, outcomes[2].code) == ("OBJECT_NOT_FOUND", "OTHER_RECORD")
    assert repr(survivor) in outcomes[2].reason


def test_a_lock_is_waited_for(deals):
    """A locked deal is tried again after two seconds, alone and in a batch."""
    ids = deals.add(3)
    now = deals.sandbox.clock.now().timestamp()
    deals.sandbox.set(hubspot_locked_ids=[ids[0], ids[2]], hubspot_locked_until=now + 3)
    assert words(deals.write([(one, {"segment": "north"}) for one in ids])) == [UPDATED] * 3
    assert 3 <= deals.sandbox.clock.now().timestamp() - now < 10
    assert [call.status for call in deals.sent("PATCH")] == [423, 423, 200]


def test_a_deal_that_stays_locked(deals):
    """A deal that is locked for longer fails for now, and keeps no other row of its call from landing."""
    ids = deals.add(12)
    deals.sandbox.set(hubspot_locked_ids=[ids[5]])
    outcomes = deals.write([(one, {"segment": "north"}) for one in ids])
    assert words(outcomes) == [UPDATED] * 5 + [OutcomeWord.FAILED] + [UPDATED] * 6
    assert "423" in outcomes[5].reason


@pytest.mark.parametrize("form", ["json", "bare", "html"])
def test_the_forms_of_a_404(deals, form):
    """A deal that is not there rejects its row if HubSpot says so; a page says nothing, and the row fails for now."""
    deals.sandbox.set(hubspot_not_found=form)
    (gone,) = deals.add()
    deals.portal.archive_opportunity(gone)
    (outcome,) = deals.write([(gone, {"segment": "north"})])
    assert outcome.word is (OutcomeWord.FAILED if form == "html" else REJECTED)


def test_an_account_that_moves(deals):
    """A 477 ends the run, which goes on after the hours that it names; no row is lost."""
    ids = deals.add(5)
    push = deals.push("segment")
    deals.sandbox.set(hubspot_moves_until=deals.sandbox.clock.now().timestamp() + 7200)
    outcomes = deals.write([(one, {"segment": "north"}) for one in ids], push=push)
    assert words(outcomes) == [OutcomeWord.NOT_SENT] * 5
    assert (type(push.stopped), push.stopped.status, push.wait) == (TransientError, 477, 7200.0)
    deals.sandbox.clock.advance(7201)
    assert words(deals.write([(one, {"segment": "north"}) for one in ids])) == [UPDATED] * 5


@pytest.mark.parametrize(("daily_headers", "most", "refused"), [(True, 10, 0), (False, 17, 1)])
def test_the_day_is_used_up(deals, daily_headers, most, refused):
    """The run ends before its share of the limit is used up, or without headers by a refusal, until midnight there."""
    deals.sandbox.set(hubspot_daily_limit=20, hubspot_daily_headers=daily_headers, hubspot_limit=None)
    (one,) = deals.add()
    landed = 0
    while deals.write([(one, {"segment": str(landed)})], push=(push := deals.push("segment")))[0].word is UPDATED:
        landed += 1
    assert most - 3 <= landed <= most
    assert (60 if daily_headers else 16 * 3600 - 1) <= push.wait <= 16 * 3600 + 1
    assert len([call for call in deals.sent() if call.status == 429]) == refused
    deals.sandbox.clock.advance(16 * 3600 + 1)
    assert words(deals.write([(one, {"segment": "north"})])) == [UPDATED]


def test_retry_after_is_not_believed(deals):
    """A 429 whose `Retry-After` is in milliseconds is waited for as long as the window lasts, and no longer."""
    deals.sandbox.set(hubspot_retry_after="milliseconds", hubspot_limit=5)
    (one,) = deals.add()
    push = deals.push("segment")
    for _ in range(5):
        deals.session.http.get(deals.session.account.origin + HUBSPOT.probe().path)
    before = deals.sandbox.clock.now()
    assert words(deals.write([(one, {"segment": "north"})], push=push)) == [UPDATED]
    assert (deals.sandbox.clock.now() - before).total_seconds() <= 11


@pytest.mark.parametrize("switches", [{"hubspot_bare_429": True}, {"hubspot_limit_headers": False}, {}])
def test_answers_that_name_no_limit(deals, switches):
    """Rows land in about the time that the limit takes, whatever the answers say about it."""
    deals.sandbox.set(hubspot_limit=20, **switches)
    deals.session.catalogue(("segment",))
    before = deals.sandbox.clock.now()
    for number, one in enumerate(deals.add(60)):
        assert words(deals.write([(one, {"segment": str(number)})])) == [UPDATED]
    assert (deals.sandbox.clock.now() - before).total_seconds() < 60


def test_a_property_that_was_deleted_before_the_run(deals):
    """Yesterday's property is an unknown field today: one error, and no call that writes."""
    deals.portal.remove_property("segment")
    catalogue = deals.session.catalogue(("segment", "notes"))
    with pytest.raises(ConfigurationError, match="'segment'"):
        check_fields({"column": "segment"}, HUBSPOT, catalogue)


@pytest.mark.parametrize("names_rows", [True, False])
@pytest.mark.parametrize("change", ["removed", "read_only", "archived"])
def test_a_property_that_is_lost_during_the_run(deals, names_rows, change):
    """It is one error that ends the run and names the property, in each shape of the answer; not one for each row."""
    deals.sandbox.set(hubspot_names_rows=names_rows)
    ids = deals.add(300)
    push = deals.push("segment")
    if change == "removed":
        deals.portal.remove_property("segment")
    else:
        deals.portal.change_property("segment", **{change: True})
    outcomes = deals.write([(one, {"segment": "north"}) for one in ids], push=push)
    assert words(outcomes) == [OutcomeWord.NOT_SENT] * 300
    assert type(push.stopped) is ConfigurationError
    assert "'segment'" in str(push.stopped)
    assert len(deals.sent("PATCH")) == 1


def test_a_property_with_other_options(deals):
    """A column of which no value is an option any more is one error before the first call, not one for each row."""
    push = deals.push("customer_tier", ledger=True)
    outcomes = deals.write([(one, {"customer_tier": "Platinum"}) for one in deals.add(150)], push=push)
    assert (len(outcomes), {outcome.word for outcome in outcomes}) == (150, {OutcomeWord.NOT_SENT})
    assert "None of the values of 150 rows for customer_tier is one of its options" in str(push.stopped)
    assert deals.sent("PATCH") == []


def test_a_property_whose_type_changes_during_the_run(deals):
    """Values that were right at the beginning of the run are one error once the property has another type."""
    push = deals.push("last_seen_at")
    deals.portal.change_property("last_seen_at", type="number")
    ids = deals.add(150)
    outcomes = deals.write([(one, {"last_seen_at": "2026-03-01T12:00:00Z"}) for one in ids], push=push)
    assert [outcome.word for outcome in outcomes].count(OutcomeWord.NOT_SENT) == 149
    assert (outcomes[0].word, type(push.stopped)) == (REJECTED, ConfigurationError)
    assert "'last_seen_at'; the property seems to have another type" in str(push.stopped)


def test_missing_scopes(deals, connect):
    """A missing scope is one error that names it: before the run for reading, at the first row for writing."""
    token = deals.portal.add_token(["crm.objects.deals.read", "crm.objects.deals.write"])
    with pytest.raises(AuthenticationError, match=r"scopes crm\.schemas\.deals\.read; add it"):
        connect("hubspot", password=token).session.catalogue(("segment",))
    token = deals.portal.add_token(["crm.objects.deals.read", "crm.schemas.deals.read"])
    deals.session = connect("hubspot", password=token).session
    push = deals.push("segment")
    outcomes = deals.write([(one, {"segment": "north"}) for one in deals.add(30)], push=push)
    assert words(outcomes) == [OutcomeWord.NOT_SENT] * 30
    assert "scopes crm.objects.deals.write; add it" in str(push.stopped)
    assert len(deals.sent("PATCH")) == 1
    assert connect("hubspot", password=token).test_connection()[0]


def test_owners_of_several_pages(deals):
    """An address is found on whichever page of the owners it is."""
    from airflow_provider_crm.sandbox.hubspot.owners import DealOwner

    for number in range(1_000):
        owner = DealOwner(id=str(9_000 + number), email=f"p{number}@example.com", first_name="P", last_name=str(number))
        deals.portal.owners[owner.id] = owner
    (one,) = deals.add()
    assert words(deals.write([(one, {"responsible_user_id": "P999@example.com"})])) == [UPDATED]
    assert deals.held(one)["hubspot_owner_id"] == "9999"
    assert len([call for call in deals.sent() if "owners" in call.path]) == 3


def test_a_workflow_that_changes_a_deal(deals):
    """What a workflow writes after the answer was made is no failure of the row."""
    deals.portal.workflows["segment"] = {"description": "by a workflow"}
    (one,) = deals.add()
    assert words(deals.write([(one, {"segment": "north"})])) == [UPDATED]
    assert deals.held(one)["description"] == "by a workflow"


def test_a_portal_with_one_currency(deals):
    """Its own code lands with the row, and is not sent."""
    deals.portal.additional_currencies = ()
    (one,) = deals.add()
    assert words(deals.write([(one, {"deal_value": "1.50", "deal_currency": "USD"})])) == [UPDATED]
    (call,) = deals.sent("PATCH")
    assert (call.body, deals.held(one)["amount"]) == ({"properties": {"amount": "1.50"}}, "1.50")


def test_a_hook_reads_and_lists(connect, sandbox):
    """A deal is read with its default properties, and a list has all pages."""
    for _ in range(249):
        sandbox.hubspot.add_opportunity()
    hook = connect("hubspot")
    assert hook.get_opportunity("171591000001")["properties"]["dealname"] == "Jane Roe"
    assert len({record["id"] for record in hook.list_opportunities()}) == 250
    sandbox.set(ignored_ids=["171591000001"])
    with pytest.raises(IgnoredError):
        hook.update_opportunity("171591000001", {"notes": "new"})
