"""What tests of the APIs send and read."""

from __future__ import annotations


def update(call, api, rows):
    """Send a batch of rows by id, in the form of the API; their traces are t0, t1 and so on."""
    inputs = [{"id": one, "properties": values, "traceId": f"t{at}"} for at, (one, values) in enumerate(rows.items())]
    body = {"allOrNone": False, "records": inputs} if api == "batchly_mute" else {"inputs": inputs}
    return call("POST", f"{api}/records/batch/update", body)


def amounts(sandbox, api="batchly"):
    """Return the amount of each record."""
    account = sandbox.account(api)
    return {one: account.opportunity(one)["properties"]["amount"] for one in account.records.ids()}
