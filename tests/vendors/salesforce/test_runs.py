"""Claims about runs of rows against a Salesforce org: each row's true outcome, and the calls that they take."""

from __future__ import annotations

import pytest

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.vendors.salesforce import paths

UPDATED, IGNORED, REJECTED, NOT_SENT = "updated", "ignored", "rejected", "not_sent"


def rows_of(ids, **fields):
    """Return one row of the same values for each id."""
    return [(one, fields) for one in ids]


def test_write_and_read_share_a_call(opportunities):
    """Four hundred and one rows are one alone, with its read, and two calls that write and read two hundred each."""
    ids = opportunities.add(401)
    assert set(opportunities.words(rows_of(ids, deal_value="12.50"))) == {UPDATED}
    assert [call.path for call in opportunities.sent("POST")] == [paths.COMPOSITE] * 2
    assert [call.method for call in opportunities.sent()][-4:] == ["PATCH", "GET", "POST", "POST"]


def test_reads_can_be_left_out(opportunities):
    """With `verify_echo=False` nothing is read back, and the rows go without a read."""
    ids = opportunities.add(11)
    opportunities.session.catalogue(("deal_value",))
    opportunities.sandbox.audit.clear()
    assert set(opportunities.words(rows_of(ids, deal_value="12.50"), verify_echo=False)) == {UPDATED}
    assert [(call.method, call.path) for call in opportunities.sent()] == [
        ("PATCH", paths.RECORD.format(ids[0])),
        ("PATCH", paths.COLLECTION),
    ]


def test_ids_of_both_lengths_are_one_record(opportunities):
    """A row with fifteen characters is written to the record of eighteen."""
    (record_id,) = opportunities.add()
    (outcome,) = opportunities.write([(record_id[:15], {"deal_value": 7})])
    assert (outcome.word, outcome.record_id) == (UPDATED, record_id)
    assert opportunities.org.opportunity(record_id)["Amount"] == 7


def test_what_salesforce_keeps_is_ignored_with_its_cause(opportunities):
    """An amount that products hold, alone and in a batch, and whatever a flow changes, are no success."""
    plain, held, changed = (
        *opportunities.add(),
        *opportunities.add(HasOpportunityLineItem=True, Amount=1),
        *opportunities.add(),
    )
    opportunities.org.flows["NextStep"] = {"NextStep": "Set by a flow"}
    (alone,) = opportunities.write([(held, {"deal_value": 5})])
    assert (alone.word, "has products (HasOpportunityLineItem)" in alone.reason) == (IGNORED, True)
    outcomes = opportunities.write(rows_of([plain, held, plain], deal_value=5))
    assert [one.word for one in outcomes] == [UPDATED, IGNORED, UPDATED]
    assert outcomes[1].reason == alone.reason
    (by_flow,) = opportunities.write([(changed, {"NextStep": "Call"})])
    assert (by_flow.word, "a flow, trigger or workflow" in by_flow.reason) == (IGNORED, True)


@pytest.mark.parametrize("rule", ["future", "always", "never"])
def test_the_date_of_a_win(opportunities, rule):
    """A changed date goes along with a won stage; where Salesforce replaces it nevertheless, the row is `ignored`."""
    opportunities.sandbox.set(salesforce_close_date=rule)
    (record_id,) = opportunities.add(CloseDate="2099-12-31")
    (outcome,) = opportunities.write([(record_id, {"stage": "Closed Won", "date_won": "2026-07-01"})])
    assert outcome.word == (IGNORED if rule == "always" else UPDATED)
    assert ("moves a future CloseDate to today, in UTC" in outcome.reason) is (rule == "always")
    assert opportunities.org.opportunity(record_id)["CloseDate"] == ("2026-06-15" if rule == "always" else "2026-07-01")


def test_a_future_date_that_stays_the_same(opportunities):
    """The platform moves it at a win, as it was not changed; that is told."""
    (record_id,) = opportunities.add(CloseDate="2026-07-01")
    (outcome,) = opportunities.write([(record_id, {"stage": "Closed Won", "date_won": "2026-07-01"})])
    assert (outcome.word, opportunities.org.opportunity(record_id)["CloseDate"]) == (IGNORED, "2026-06-15")


@pytest.mark.parametrize("repeats_ids", [False, True])
def test_each_row_of_a_batch_has_its_own_error(opportunities, repeats_ids):
    """The admin's own text is the reason, whether or not failed rows repeat their ids; the others land."""
    opportunities.sandbox.set(salesforce_failed_ids=repeats_ids)
    ids = opportunities.add(6)
    opportunities.org.delete_opportunity(ids[4])
    rows = rows_of(ids, Discount__c=10)
    rows[2] = (ids[2], {"Discount__c": 75})
    outcomes = opportunities.write(rows)
    assert [one.word for one in outcomes] == [UPDATED, UPDATED, REJECTED, UPDATED, REJECTED, UPDATED]
    assert (outcomes[2].code, outcomes[4].code) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "ENTITY_IS_DELETED")
    assert "Ask for approval first [Discount__c (Discount)]" in outcomes[2].reason


@pytest.mark.parametrize("scope", ["row", "call"])
def test_a_value_of_a_wrong_type(opportunities, scope):
    """Types are checked beforehand; a field whose type has changed since then costs only the rows that have it."""
    opportunities.sandbox.set(salesforce_type_errors=scope)
    ids = opportunities.add(8)
    opportunities.session.catalogue(("NextStep",))
    changed = opportunities.org.fields["Priority_Rank__c"]
    opportunities.org.fields["NextStep"] = type(changed)(**{**vars(changed), "name": "NextStep"})
    rows = [(one, {"NextStep": "x" if number == 5 else str(number)}) for number, one in enumerate(ids)]
    words = opportunities.words(rows)
    assert [number for number, word in enumerate(words) if word != UPDATED] == [5]


def test_locks_are_tried_again_alone(opportunities):
    """A row that meets a lock is sent once more, alone, and lands; the others are not sent again."""
    ids = opportunities.add(12)
    opportunities.sandbox.set(salesforce_locked_once_ids=[ids[3], ids[7]])
    assert set(opportunities.words(rows_of(ids, deal_value=5))) == {UPDATED}
    written = [write.record_id for write in opportunities.sandbox.audit.writes]
    assert sorted(written) == sorted(ids)
    assert len(opportunities.sent("POST")) == 1


def test_a_lock_that_stays_fails_its_row(opportunities):
    """It is temporary: a retry may cure it, and the others have landed."""
    ids = opportunities.add(4)
    opportunities.sandbox.set(salesforce_locked_ids=[ids[2]])
    outcomes = opportunities.write(rows_of(ids, deal_value=5))
    assert [one.word for one in outcomes] == [UPDATED, UPDATED, "failed", UPDATED]
    assert outcomes[2].code == "UNABLE_TO_LOCK_ROW"


@pytest.mark.parametrize("choice", ["rows", "call", "in_order"])
def test_one_record_twice(opportunities, choice):
    """Two rows of one record are never in one call, whatever Salesforce would make of that."""
    opportunities.sandbox.set(salesforce_same_id_twice=choice)
    first, *ids = opportunities.add(5)
    rows = rows_of([first, *ids], deal_value=1) + rows_of([one[:15] for one in ids], deal_value=2)
    assert set(opportunities.words(rows)) == {UPDATED}
    assert [opportunities.org.opportunity(one)["Amount"] for one in ids] == [2] * 4


def test_a_full_storage_ends_the_run(opportunities):
    """No other row is sent."""
    opportunities.sandbox.set(salesforce_storage_full=True)
    outcomes = opportunities.write(rows_of(opportunities.add(5), deal_value=5))
    assert {one.word for one in outcomes} == {NOT_SENT}
    assert "STORAGE_LIMIT_EXCEEDED" in outcomes[0].reason
    assert opportunities.sandbox.audit.writes == []


def test_a_field_that_is_taken_away_ends_the_run(opportunities):
    """What every other row would meet, too, is one clear error."""
    ids = opportunities.add(5)
    opportunities.session.catalogue(("NextStep",))
    opportunities.org.hide_field("NextStep")
    outcomes = opportunities.write(rows_of(ids, NextStep="Call"))
    assert {one.word for one in outcomes} == {NOT_SENT}
    assert "field-level security hides it" in outcomes[0].reason


def test_field_level_security_is_one_error_before_any_call(opportunities):
    """A hidden and a read-only field are named before anything is written."""
    (record_id,) = opportunities.add()
    opportunities.org.hide_field("Amount")
    opportunities.org.lock_field("Description")
    for name, text in (("deal_value", "field-level security hides it"), ("notes", "is read-only to the running user")):
        (outcome,) = opportunities.write([(record_id, {name: "5"})])
        assert (outcome.word, outcome.code, text in outcome.reason) == (NOT_SENT, "FIELD_SECURITY", True)
    assert [call for call in opportunities.sent() if call.method != "GET"] == []


def test_many_long_calls_at_once_are_waited_for(opportunities):
    """A refusal because of concurrent long calls is tried again, and no limit is taken from it."""
    ids = opportunities.add(3)
    opportunities.session.catalogue(("deal_value",))
    opportunities.org.refusals[:] = [("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")] * 2
    assert set(opportunities.words(rows_of(ids, deal_value=5))) == {UPDATED}


@pytest.mark.parametrize(("has_headers", "limit"), [(True, 6), (False, 3)])
def test_a_day_that_is_used_up_ends_the_run(opportunities, has_headers, limit):
    """The rows are `not_sent`: by the share of the day that answers name, or by the refusal of a call."""
    opportunities.sandbox.set(salesforce_daily_limit=limit, salesforce_limit_headers=has_headers)
    opportunities.session.catalogue(("deal_value",))
    ids = opportunities.add(3)
    outcomes = opportunities.write(rows_of(ids, deal_value=5))
    assert {one.word for one in outcomes} == {NOT_SENT}
    assert opportunities.sandbox.audit.writes == []


def test_plans_read_two_thousand_records_a_call(opportunities):
    """Ten thousand records are five reads."""
    ids = opportunities.add(10_000)
    opportunities.sandbox.audit.clear()
    assert len(opportunities.session.read_many(ids, ("Amount",))) == 10_000
    assert len(opportunities.sent()) == 5


def test_long_texts_are_read_in_parts(opportunities):
    """Six hundred descriptions are more than is read of one answer, and are read in two; each is there."""
    ids = [one for number in range(600) for one in opportunities.add(Description=f"{number} {'x' * 31_000}")]
    read = opportunities.session.read_many(ids, ("Description",))
    assert [read[one]["Description"].split()[0] for one in ids] == [str(number) for number in range(600)]
    assert [call.path for call in opportunities.sent("POST")][-2:] == [paths.COLLECTION_READ] * 2


def test_a_list_of_two_pages(opportunities):
    """A page has two thousand opportunities; the next one follows by its own address."""
    ids = opportunities.add(2_001)
    listed = [one["Id"] for one in opportunities.session.records({})]
    assert set(ids) <= set(listed)
    assert len(listed) == len(set(listed))
    assert len([call for call in opportunities.sent("GET") if call.path.startswith(paths.QUERY)]) >= 2


def test_rows_of_one_account_share_a_call(opportunities):
    """Salesforce locks a row's account, too: where rows name it, no two calls have rows of the same one."""
    ids = opportunities.add(901)
    accounts = [f"001000000000{number:03}AAA" for number in range(300)]
    rows = [(one, {"AccountId": accounts[number % 300], "deal_value": number}) for number, one in enumerate(ids)]
    outcomes = opportunities.write(rows)
    assert {one.word for one in outcomes} == {UPDATED}
    calls = [
        {row["AccountId"] for row in call.body["compositeRequest"][0]["body"]["records"]}
        for call in opportunities.sent("POST")
    ]
    assert len(calls) == 5
    assert sum(map(len, calls)) == len(set().union(*calls)) == 300
    assert [one.row for one in outcomes] == list(range(901))


def test_rows_of_one_record_keep_their_order_whatever_their_account(opportunities):
    """The last of the rows of a record counts, also if an earlier row names the account of other rows."""
    first, *others = opportunities.add(4)
    accounts = [f"00100000000000{number}AAA" for number in range(2)]
    rows = [(one, {"AccountId": accounts[1], "deal_value": 1}) for one in others]
    rows[1:1] = [(first, {"AccountId": accounts[0], "deal_value": 2})]
    rows.append((first, {"AccountId": accounts[1], "deal_value": 3}))
    assert set(opportunities.words(rows)) == {UPDATED}
    assert opportunities.org.opportunity(first)["Amount"] == 3


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(("extra", "expected"), [({}, REJECTED), ({"duplicate_rules": "allow"}, UPDATED)])
def test_a_connection_may_allow_duplicates(opportunities, connect, count, extra, expected):
    """The header goes with a row alone, and with the part of a joint call, which inherits none."""
    ids = opportunities.add(1 + count)
    opportunities.sandbox.set(salesforce_duplicate_ids=ids[1:])
    opportunities.session = connect("crm_salesforce", extra=extra).session
    assert opportunities.words(rows_of(ids, deal_value=7)) == [UPDATED, *[expected] * count]


def test_assignment_rules_can_be_switched_off(opportunities, connect):
    """The header has the value that Salesforce documents, in every call and in the part that writes."""
    opportunities.session = connect("crm_salesforce", extra={"assignment_rules": "off"}).session
    opportunities.words(rows_of(opportunities.add(3), deal_value=7))
    writes = [call for call in opportunities.sent() if call.method in ("PATCH", "POST")]
    assert {call.headers["sforce-auto-assign"] for call in writes} == {"FALSE"}
    assert writes[-1].body["compositeRequest"][0]["httpHeaders"] == {"Sforce-Auto-Assign": "FALSE"}


def test_an_unknown_option(connect):
    """Only the values that are listed are taken, and the error lists them."""
    with pytest.raises(ConfigurationError, match=r"extra\.duplicate_rules is 'yes'; write 'allow', or leave it out"):
        connect("crm_salesforce", extra={"duplicate_rules": "yes"})


def test_settings_are_no_secrets(connect):
    """No log hides a setting's text, as it would if it was a part of the credentials."""
    account = connect("crm_salesforce", extra={"free_picklists": "Region__c"}).session.account
    assert account.settings == {"free_picklists": "Region__c"}
    assert not [one for one in account.credentials.secrets() if "Region__c" in one]
