"""Workers and a vendor on a virtual clock: an hour of calls takes seconds, and every latency is chosen.

The vendor counts with the sandbox's own counters and names limits in the sandbox's own headers. The workers are the
package's pacers, which get those headers as `Session` reads them.
"""

from __future__ import annotations

import datetime as dt
import heapq
import io
import itertools
import json
import math
import random
from collections import Counter as Tally
from dataclasses import dataclass, field

import requests

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.pacer import Pacer, Reservation
from airflow_provider_crm.client.clock_difference import ClockDifference
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.sandbox.close.limits import CloseLimits
from airflow_provider_crm.sandbox.close.switches import CloseSwitches
from airflow_provider_crm.sandbox.rate_limit import Counter, Rule
from airflow_provider_crm.sandbox.wire import RefusalError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.limit_headers import date_of

START = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)


def answer_of(status, headers, body):
    """Return an answer with a JSON body as `requests` hands it to the package: its bytes are read from the wire."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    response.raw = io.BytesIO(json.dumps(body).encode())
    return response


class CloseServer:
    """Close's counters and headers. Windows are aligned to the vendor's clock, which is ours plus `phase` seconds."""

    name = "close"

    def __init__(self, limit, window, *, kind="window", phase=0.0, **switches):
        self.limit, self.window, self.kind, self.phase = limit, window, kind, phase
        self._switches = CloseSwitches().changed(
            {"close_limit": limit, "close_window": float(window), "close_limit_kind": kind, **switches}
        )
        self._limits = CloseLimits()

    def at(self, now):
        """Return the time of the vendor's clock."""
        return START + dt.timedelta(seconds=now + self.phase)

    def answer(self, now):
        """Return the answer to a call that arrives now."""
        try:
            headers = self._limits.take(key="key", group="opportunity", now=self.at(now), switches=self._switches)
        except RefusalError as refusal:
            return answer_of(429, refusal.headers, refusal.payload)
        return answer_of(200, headers, {})


class RazeServer:
    """Raze's counter and headers: the end of a window is named in whole epoch seconds, next to a `Date`."""

    name = "raze"
    kind = "window"

    def __init__(self, limit, window, *, phase=0.0):
        self.limit, self.window, self.phase = limit, window, phase
        self._counter = Counter(Rule(limit=limit, window=float(window)))

    def at(self, now):
        """Return the time of the vendor's clock."""
        return START + dt.timedelta(seconds=now + self.phase)

    def answer(self, now):
        """Return the answer to a call that arrives now."""
        clock = self.at(now)
        left = self._counter.take(clock.timestamp())
        headers = {
            "X-RateLimit-Limit": str(left.limit),
            "X-RateLimit-Remaining": str(left.remaining),
            "X-RateLimit-Reset": str(math.ceil(clock.timestamp() + left.reset)),
            "Date": clock.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        body = {} if left.allowed else {"error": {"retry_after": math.ceil(left.reset)}}
        return answer_of(200 if left.allowed else 429, headers, body)


@dataclass
class Arrivals:
    """The calls that arrived at the vendor: accepted units by window and by worker, calls by cost, and refusals."""

    accepted: Tally = field(default_factory=Tally)
    by_worker: Tally = field(default_factory=Tally)
    refused: Tally = field(default_factory=Tally)
    external_calls: Tally = field(default_factory=Tally)
    by_cost: Tally = field(default_factory=Tally)
    longest_wait: float = 0.0
    longest_by_cost: Tally = field(default_factory=Tally)

    def used(self, server, seconds):
        """Return the part used of the calls that the vendor would have accepted, and the refusals by calls sent."""
        sent, refused = sum(self.accepted.values()), sum(self.refused.values())
        allowed = server.limit * seconds / server.window + server.limit
        if server.kind == "window":  # whole ones only: the first began before the run, the last is not over
            allowed = server.limit * (max(self.accepted) - min(self.accepted) - 1)
            return sum(sorted(self.accepted.items())[one][1] for one in range(1, len(self.accepted) - 1)) / allowed, (
                refused / (sent + refused)
            )
        return sent / allowed, refused / (sent + refused)


class Simulation:
    """Workers with some threads each that call one vendor as fast as their pacers let them.

    Args:
        server: The vendor.
        seed: Of all random numbers.
        latency: Seconds of a call, there and back: shortest and longest.
        slow: Part of the calls that take ten times as long.
    """

    def __init__(self, server, *, seed=0, latency=(0.01, 0.03), slow=0.0):
        self.server = server
        self.now = 0.0
        self.arrivals = Arrivals()
        self.random = random.Random(seed)
        self._latency = latency
        self._slow = slow
        self._events = []
        self._order = itertools.count()
        self._workers = []
        self._differences = []

    def clock(self):
        """Return the virtual clock."""
        return Clock(
            monotonic=lambda: self.now, now=lambda: START + dt.timedelta(seconds=self.now), jitter=self.random.random
        )

    def worker(self, *, threads=8, share=1.0, stated=None, store=None, begins=0.0, costs=None):
        """Add a worker, each of whose threads makes calls of the next of these costs; of 1 by default."""
        rules = {"share": share, "stated": stated}
        pacer = Pacer(self.clock(), **rules) if store is None else LeasingPacer(self.clock(), store, "budget", **rules)
        number = len(self._workers)
        self._workers.append(pacer)
        self._differences.append(ClockDifference())
        for thread in range(threads):
            # As in a run, the first call goes alone.
            self.at(begins + (0.0 if thread == 0 else 0.5) + 0.001 * thread, self._next, pacer, number, costs)
        return pacer

    def external_calls(self, begin, end, calls, seconds):
        """Let another program make so many calls per so many seconds, evenly."""
        moment = begin
        while moment < end:
            self.at(moment, self._external_call)
            moment += seconds / calls

    def run(self, seconds):
        """Let time pass."""
        while self._events and self._events[0][0] < seconds:
            self.now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.now = seconds
        return self.arrivals

    def at(self, moment, action, *arguments):
        """Do something later."""
        heapq.heappush(self._events, (moment, next(self._order), action, arguments))

    def _half(self):
        half = self.random.uniform(*self._latency) / 2
        return half * 10 if self.random.random() < self._slow else half

    def _next(self, pacer, number, costs):
        self._turn(pacer, number, costs, 1 if costs is None else next(costs), self.now)

    def _turn(self, pacer, number, costs, cost, began):
        got = pacer.acquire(cost)
        if isinstance(got, Reservation):
            waited = self.arrivals.longest_by_cost
            waited[cost] = max(waited[cost], self.now - began)
            self.at(self.now + self._half(), self._arrive, pacer, number, costs, got)
        else:
            self.arrivals.longest_wait = max(self.arrivals.longest_wait, got)
            self.at(self.now + max(got, 0.001), self._turn, pacer, number, costs, cost, began)

    def _arrive(self, pacer, number, costs, reservation):
        cost = reservation.cost
        answer = self.server.answer(self.now, *([cost] if cost > 1 else []))
        window = math.floor((START.timestamp() + self.now + self.server.phase) / self.server.window)
        if answer.status_code == 200:
            self.arrivals.accepted[window] += cost
            self.arrivals.by_worker[number] += cost
            self.arrivals.by_cost[cost] += 1
        else:
            self.arrivals.refused[window] += 1
        self.at(self.now + self._half(), self._answered, pacer, number, costs, reservation, answer)

    def _answered(self, pacer, number, costs, reservation, answer):
        difference = self._differences[number].observe(
            date_of(answer), sent_at=reservation.sent_at, received_at=self.now
        )
        self._differences[number] = difference
        server_time = difference.server_time(self.now) or START + dt.timedelta(seconds=self.now)
        limits = VENDORS[self.server.name].limits(answer, server_time, None)
        refused = answer.status_code == 429
        own_wait = pacer.record_answer(reservation, limits, refused=refused)
        self.at(self.now + own_wait, self._next, pacer, number, costs)

    def _external_call(self):
        window = math.floor((START.timestamp() + self.now + self.server.phase) / self.server.window)
        self.arrivals.external_calls[window, self.server.answer(self.now).status_code] += 1
