"""Rows for a CRM that fails in every way at once, the truth about each of them, and the calls of an ideal client."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from decimal import Decimal
from urllib.parse import unquote

from tests.fake.api import LARGEST_BATCH
from tests.ledger.race import reported_outcomes

LOST, EARLY = {"reset_after": 0.01, "truncated": 0.01}, {"http_429": 0.005}
FAULTS = LOST | EARLY
POISONED, LEFT_OUT, DROPPED = 0.05, 0.02, 0.01
CALLS, WINDOW = 150, 0.5
UNITS = {"batchly": CALLS, "batchly_mute": CALLS * LARGEST_BATCH}
"""Units of the rate limit per window: some of them cost a call, or in one of the APIs each of its rows."""
_OLD = 1
_CATALOGUE_CALLS = 2


class FaultyRows:
    """Some rows, each of a record of its own in Batchly.

    5% of them refuse every call that carries them, the answer to a call for several leaves out 2%, and 1% are dropped
    in silence, half of them such that an answer leaves them out, too. Of all calls 2% are answered, and the answer is
    lost. A limit of calls in a sliding window holds for all, and 0.5% are refused as if it were used up. An API whose
    answers name no rows leaves out none: one that did would say nothing about the others, either.

    Args:
        sandbox: Serves Batchly.
        count: How many.
        api: One of its APIs.
        seed: Of all that is random.
    """

    def __init__(self, sandbox, count, *, api, seed):
        rng = random.Random(seed)
        self.sandbox, self.account, self._api = sandbox, sandbox.account(api), api
        self.ids = [str(100_000 + number) for number in range(count)]
        self.wanted = {record_id: _OLD + 1 + number for number, record_id in enumerate(self.ids)}
        for record_id in self.ids:
            self.account.add_opportunity(record_id, amount=_OLD)
        poisoned, left_out, dropped = (round(part * count) for part in (POISONED, LEFT_OUT, DROPPED))
        self.poisoned, self.left_out = (frozenset(rng.sample(self.ids, number)) for number in (poisoned, left_out))
        both = rng.sample(sorted(self.left_out - self.poisoned), (dropped + 1) // 2)
        self.dropped = frozenset(both + rng.sample(self.ids, dropped - len(both)))
        if api == "batchly_mute":
            self.left_out = frozenset()
        own = {"poisoned_ids": self.poisoned, "left_out_ids": self.left_out, "limit": UNITS[api], "window": WINDOW}
        sandbox.set(seed=seed, fault_rates=FAULTS, throttle_seconds=WINDOW / 5, ignored_ids=self.dropped)
        sandbox.set(**{f"{api}_{name}": value for name, value in own.items()})

    def job(self, ledger_url, folder, *, concurrency, timeout):
        """Return the run over all rows, for `Racer.push`.

        Args:
            ledger_url: The ledger.
            folder: For the outcomes that are reported.
            concurrency: Calls in flight.
            timeout: Seconds that an answer may take; a claim outlasts an attempt, which takes twice that at most.
        """
        return {
            "vendor": self._api,
            "url": self.sandbox.url,
            "key": self.account.api_key,
            "ledger": ledger_url,
            "account": f"{self._api}:faults",
            "run_key": "run",
            "as_of": "2026-03-01T00:00:00+00:00",
            "fields": ["deal_value"],
            "rows": {record_id: {"deal_value": amount} for record_id, amount in self.wanted.items()},
            "lease": 2.5 * timeout,
            "timeout": timeout,
            "concurrency": concurrency,
            "out": str(folder / "reported"),
        }

    # Truth

    def check_reports(self, path):
        """Every outcome that any try reported is true; return how many rows have each."""
        words = defaultdict(set)
        for record_id, word, code, reason in reported_outcomes(path):
            words[record_id].add(word)
            assert word != "rejected" or (code, "could not be processed" in reason) == ("VALIDATION", True)
        true = {record_id: self._true_words(record_id) for record_id in self.ids}
        assert {record_id: told for record_id, told in words.items() if not told <= true[record_id]} == {}
        assert words.keys() == set(self.ids)
        landed = {record_id for record_id, told in words.items() if told & {"updated", "unchanged"}}
        assert landed == {write.record_id for write in self.sandbox.audit.writes}
        return Counter(min(told) for told in words.values())

    @staticmethod
    def left(path):
        """Return how many rows were left for another try, and why."""
        left = (tuple(told) for _, *told in reported_outcomes(path) if told[0] in ("failed", "unknown", "not_sent"))
        return Counter(left).most_common(3)

    def _true_words(self, record_id):
        if record_id in self.poisoned:
            return {"rejected"}
        return {"ignored"} if record_id in self.dropped else {"updated", "unchanged"}

    def check_records(self):
        """The CRM holds the new value of every row that it takes, and nothing else has changed."""
        refused = self.poisoned | self.dropped
        shown = {one: Decimal(self.account.opportunity(one)["properties"]["amount"]) for one in self.ids}
        right = {one: _OLD if one in refused else amount for one, amount in self.wanted.items()}
        assert {one: (amount, right[one]) for one, amount in shown.items() if amount != right[one]} == {}

    # Calls

    def sent_twice(self, tries):
        """Return for each try how many of the rows that it had sent a later one sent again.

        Rows that the CRM drops in silence do not count: they are reported as failures, which every later try repeats.
        """
        sent = defaultdict(set)
        for call in self.sandbox.audit.calls:
            if call.method in ("POST", "PATCH"):
                sent[int(call.headers["x-label"])].update(_rows_of(call))
        later = [set().union(*(sent[one] for one in range(number + 1, tries))) for number in range(tries)]
        return [len((sent[number] & later[number]) - self.dropped) for number in range(tries)]

    def refused_by_limit(self):
        """Return the number of calls that came too early, or were said to."""
        return sum(call.status == 429 for call in self.sandbox.audit.calls)

    def ideal_calls(self):
        """Return the calls of a client that is never killed and wastes none, under the same faults.

        It knows nothing beforehand: which rows are poisoned it can only learn from calls that are refused.

            (C + 1 + sum of H(batch) + S) / (1 - faults)

        | term | calls |
        |---|---|
        | C | that read the account and its pipelines |
        | 1 | for the first row, which goes alone; the others go by a hundred, in their order |
        | H | that find the poisoned rows of a batch by halving, see `_halving` |
        | S | for rows that an answer left out, each alone; none for those that halving has sent alone anyway |
        | faults | the part of all calls whose answer is lost, or that are refused: each is sent once more |

        The rate limit itself costs it no call, as it never comes too early.
        """
        batches = [self.ids[1:][first : first + LARGEST_BATCH] for first in range(0, len(self.ids) - 1, LARGEST_BATCH)]
        calls = _CATALOGUE_CALLS + 1 + sum(self._halving(batch) for batch in batches)
        return calls / (1 - sum(FAULTS.values()))

    def _halving(self, rows, *, known=False):
        """Return the calls for some rows, the single ones for left out rows included.

        A refused call is halved. If its first half is taken, the second one is known to be refused, and is halved
        without being sent.

        Args:
            rows: Record ids.
            known: Whether a call for all of them is known to be refused.
        """
        if len(rows) == 1:
            return 1
        sent = 0 if known else 1
        if self.poisoned.isdisjoint(rows):
            return sent + len(self.left_out.intersection(rows))
        first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return sent + self._halving(first) + self._halving(second, known=self.poisoned.isdisjoint(first))


def _rows_of(call):
    """Return the records that a call writes, or tries to."""
    if call.method == "PATCH":
        return [unquote(call.path.rpartition("/")[2])]
    if call.body is None or not call.path.endswith("/batch/update"):
        return []  # a sender that was killed in the middle of a body has sent no row
    return [one["id"] for one in next(rows for rows in call.body.values() if isinstance(rows, list))]
