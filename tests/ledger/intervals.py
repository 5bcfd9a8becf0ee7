"""Some deals and many intervals of them, of one seed: pushed by several processes in random order, some killed."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from .conftest import DAY
from .race import OUT_OF_TIME, reported_outcomes

PROCESSES = 8
# A request lives at most `TIMEOUT`, a claim `LEASE`: what the manual names as not closed is out of reach here.
LEASE, TIMEOUT = 2.5, 1.0
STAGES = ("contacted", "qualified", "proposal", "won")
AT_ONCE = 3  # while some wait for a lease, others work


class CloseDeals:
    """The deals that are written into Close, and read from it."""

    vendor = "close"
    fields = ("deal_value", "notes", "confidence")

    def values(self, rng, day):
        """Few values, so that some intervals agree with each other."""
        return {
            "deal_value": rng.choice((day, 7)),
            "notes": f"day {rng.choice((day, 7))}",
            "confidence": rng.choice((10, 20)),
        }

    def shown_values(self, sandbox, record_id):
        """What the CRM holds, as `values` has it."""
        shown = sandbox.close.opportunity(record_id)
        value = None if shown["value"] is None else Decimal(shown["value"]) / 100
        return {"deal_value": value, "notes": shown["note"], "confidence": shown["confidence"]}


class RazeDeals:
    """The same for Raze, where a row with a stage is two calls, and each write of a stage stamps a time."""

    vendor = "raze"
    fields = ("deal_value", "notes", "stage")

    def values(self, rng, day):
        """Few values, so that some intervals agree with each other."""
        return {
            "deal_value": rng.choice((day, 7)),
            "notes": f"day {rng.choice((day, 7))}",
            "stage": rng.choice((STAGES[day % len(STAGES)], "won")),
        }

    def shown_values(self, sandbox, record_id):
        """What the CRM holds, as `values` has it."""
        shown = sandbox.raze.opportunity(record_id)
        return {"deal_value": shown["deal_value"], "notes": shown["notes"], "stage": shown["status"]}


class Intervals:
    """One seed: its deals, its intervals, and what the newest of them wants for every field.

    Args:
        seed: Of all that is random.
        crm: `CloseDeals`, `RazeDeals`, or the like for another vendor.
        sandbox: Where the deals are put.
        deals: How many.
        days: How many intervals.
        kills: Which part of the first tries is killed, up to three of one interval.
        longest_life: Seconds of CPU time after which such a try is dead.
    """

    def __init__(self, seed, crm, sandbox, *, deals, days, kills, longest_life):
        self.random = random.Random(seed)
        self.crm, self.sandbox = crm, sandbox
        self.account = f"{crm.vendor}:race:{seed}"
        self.kills, self.longest_life = kills, longest_life
        self.records = [f"oppo_{seed}_{number}" for number in range(deals)]
        for record in self.records:
            sandbox.account(crm.vendor).add_opportunity(record)
        self.wanted = {}
        self.intervals = [self._interval(day) for day in range(days)]
        self.tries = Counter()

    def _interval(self, day):
        """Some deals, some fields."""
        rows = {}
        for record in self.records:
            fields = self.crm.values(self.random, day)
            chosen = {name: value for name, value in fields.items() if self.random.random() < 0.8}
            if chosen and self.random.random() < 0.9:
                rows[record] = chosen
                self.wanted.setdefault(record, {}).update(chosen)
        return day, rows

    def run(self, racer, url, folder):
        """Push all intervals by eight processes in random order, each again until it ends."""
        order = self.random.sample(self.intervals, len(self.intervals))
        plans = [(self._job(url, folder, *interval), self._deaths()) for interval in order]
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda plan: self._until_done(racer, *plan), plans))
        return self

    def _deaths(self):
        """Seconds of CPU time after which the first tries are killed: on a busy machine at the same places."""
        return [self.random.uniform(0.0, self.longest_life) for _ in range(3) if self.random.random() < self.kills]

    def _job(self, url, folder, day, rows):
        return {
            "vendor": self.crm.vendor,
            "url": self.sandbox.url,
            "key": self.sandbox.account(self.crm.vendor).api_key,
            "ledger": url,
            "account": self.account,
            "run_key": f"day {day}",
            "as_of": (DAY + dt.timedelta(days=day)).isoformat(),
            "fields": self.crm.fields,
            "rows": rows,
            "lease": LEASE,
            "timeout": TIMEOUT,
            "concurrency": 4,
            "out": str(folder / f"{self.account}-{day}".replace(":", "-")),
        }

    def _until_done(self, racer, job, deaths):
        for death in (*deaths, *[None] * 20):
            before = len(reported_outcomes(job["out"]))
            code = racer.push({**job, "cpu_seconds": death})
            self.tries[_end(code, len(reported_outcomes(job["out"])) > before)] += 1
            if code == 0:
                break
        assert code == 0, f"{self.account}, {job['run_key']}: not done after {sum(self.tries.values())} tries"
        words = {word for _, word, *_ in reported_outcomes(job["out"])}
        assert words <= {"updated", "unchanged", "stale", "failed", "not_sent", "unknown"}

    def differences(self):
        """Fields in which the CRM does not hold what the newest interval wants."""
        found = []
        for record, fields in self.wanted.items():
            shown_values = self.crm.shown_values(self.sandbox, record)
            wrong = [name for name, value in fields.items() if shown_values[name] != value]
            found += [(self.account, record, name, fields[name], shown_values[name]) for name in wrong]
        return found


def run_seeds(seeds, crm, sandbox, racer, *, url, folder, **size):
    """Run several seeds, some at once.

    Returns:
        How many tries ended in each way, and the fields in which the CRM differs from the newest interval.
    """
    tries, found, lock = Counter(), [], threading.Lock()

    def one(seed):
        ended = Intervals(seed, crm, sandbox, **size).run(racer, url, folder)
        with lock:
            tries.update(ended.tries)
            found.extend(ended.differences())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, seeds))
    return tries, found


def _end(code, began):
    if code == OUT_OF_TIME:
        return "killed between rows" if began else "killed before the first row"
    assert code >= 0, "a push hangs"
    return "left rows" if code else "ended"
