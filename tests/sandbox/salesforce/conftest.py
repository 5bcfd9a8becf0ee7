"""A Salesforce org with three opportunities, and a client with the token of a session."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import Client, plain_session

IDS = ("006ak00000OQ4Rx", "006ak00000OQ4Ry", "006ak00000OQ4Rz")
"""Three ids of fifteen characters, as reports show them."""
LONG_IDS = ("006ak00000OQ4RxAAL", "006ak00000OQ4RyAAL", "006ak00000OQ4RzAAL")
"""The same as the API shows them; the first two stand in answers on record."""
DATA = "/services/data/v62.0"
ROWS = f"{DATA}/composite/sobjects"
ONE = f"{DATA}/sobjects/Opportunity/{LONG_IDS[0]}"


@pytest.fixture
def account(sandbox):
    """Return the org, with three opportunities."""
    for number, record_id in enumerate(IDS, 1):
        sandbox.salesforce.add_opportunity(record_id, Amount=100 * number, Warehouse_Key__c=f"key-{number}")
    return sandbox.salesforce


@pytest.fixture
def salesforce(sandbox, account):
    """Return a client of Salesforce at the root of the sandbox."""
    with plain_session() as session:
        session.headers["Authorization"] = f"Bearer {account.access_token}"
        yield Client(sandbox.url, session)


@pytest.fixture
def write(salesforce):
    """Return a function that writes rows of id and fields in one collection, and returns the answer."""

    def write(*rows, all_or_none=False, headers=None):
        records = [{"attributes": {"type": "Opportunity"}, "id": one, **fields} for one, fields in rows]
        return salesforce.patch(ROWS, {"allOrNone": all_or_none, "records": records}, headers=headers)

    return write


def codes(answer):
    """Return the code of each row of a collection; None for one that landed."""
    assert answer.status_code == 200
    return [None if row["success"] else row["errors"][0]["statusCode"] for row in answer.json()]


def refusal(answer):
    """Return status and code of a call that is refused as a whole."""
    (error,) = answer.json()
    return answer.status_code, error["errorCode"]
