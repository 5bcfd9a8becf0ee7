"""One batch may hold a record several times, with several data times: the newest counts within the batch, too."""

from __future__ import annotations

from airflow_provider_crm.ledger_claims import Verdict

from .conftest import wish
from .test_claims import push


def test_older_data_in_one_batch_with_newer_that_agrees_is_stale(ledger):
    """The newer row needs no call, and keeps the older one out all the same."""
    push(ledger(), wish(value="a", day=0))
    claims = ledger().claim([wish(value="a", day=3), wish(value="b", day=2)])
    assert [claim.verdict for claim in claims] == [Verdict.UNCHANGED, Verdict.STALE]


def test_the_newest_of_several_that_agree_is_kept(ledger):
    """Whatever the other rows of the batch are, the data time on record never goes back."""
    push(ledger(), wish("r", value="a", day=0))
    push(ledger(), wish("s", value="a", day=0))
    ledger().claim([wish("s", value="a", day=3), wish("r", value="a", day=1), wish("r", value="a", day=3)])
    assert ledger().claim([wish("r", value="b", day=2)])[0].verdict is Verdict.STALE
