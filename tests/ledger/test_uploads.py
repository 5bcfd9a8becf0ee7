"""Uploads on record: each stage follows the one before, and only rows that are held belong to one."""

from __future__ import annotations

from airflow_provider_crm.ledger.claims import ClaimedRow, Verdict
from airflow_provider_crm.ledger.uploads import UploadStage

from .conftest import desired


def claimed(made, *rows):
    """Rows that a try has claimed."""
    return [ClaimedRow(row, claim) for row, claim in zip(rows, made.claim(rows), strict=True)]


def test_stages_follow_each_other(ledger):
    """An upload that was given up is never sent, and one that was sent is not given up."""
    first, second = ledger(), ledger()
    first.uploads.begin(first.token, "run", "750a")
    second.uploads.begin(second.token, "run", "750b")
    assert {one.vendor_id: one.stage for one in first.uploads.open()} == dict.fromkeys(
        ("750a", "750b"), UploadStage.FILLING
    )
    assert second.uploads.abandon(first.token)
    assert not first.uploads.send(first.token, "750a", 5)
    assert second.uploads.send(second.token, "750c", 7)
    assert not first.uploads.abandon(second.token)
    (sent,) = first.uploads.open()
    assert (sent.vendor_id, sent.rows, sent.stage) == ("750c", 7, UploadStage.SENT)
    assert not first.uploads.has_sent("run")
    second.uploads.end(second.token, 6)
    assert (first.uploads.open(), first.uploads.has_sent("run"), first.uploads.has_sent("other")) == ([], True, False)
    assert ledger(account="close:test:orga_2").uploads.open() == []


def test_only_held_rows_belong_to_an_upload(ledger):
    """Rows of calls that were on their way are left to their leases; the others come in order, as they were claimed."""
    made = ledger()
    by_call, *rest = claimed(made, *(desired(f"oppo_{number}", a=number, b=1) for number in range(4)))
    assert made.hold(rest) == frozenset()
    other = ledger()
    (upload,) = [one for one in [made.uploads.begin(made.token, "run", "750"), *made.uploads.open()] if one]
    held = other.holding(upload)
    assert [row.record_id for row in held.held_rows("", 2)] == ["oppo_1", "oppo_2"]
    (last,) = held.held_rows("oppo_2", 2)
    assert (last.record_id, last.desired, last.claim.fields) == ("oppo_3", rest[2].desired, {"a", "b"})
    held.release(["oppo_1", "oppo_2", "oppo_3"])
    assert held.held_rows("", 5) == []
    (busy,) = other.claim([by_call.desired])
    assert busy.verdict is Verdict.BUSY


def test_a_row_that_was_taken_over_is_not_held(ledger):
    """Whoever has claimed it since may have written it."""
    made = ledger(lease=-1.0)
    rows = claimed(made, desired("oppo_1", a=1), desired("oppo_2", a=1))
    ledger("later").claim([desired("oppo_1", day=1, a=2)])
    assert made.hold(rows) == {"oppo_1"}
