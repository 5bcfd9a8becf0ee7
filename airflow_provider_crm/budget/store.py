"""Share a budget among the workers on one account: one row of the ledger's database per key and endpoint group.

The row holds the `Pace` of all workers together. A worker reports the answers that it has seen, and leases the next
calls: in one transaction, in which the row is locked. What a worker has leased and not reported yet counts as on its
way. A worker that is not heard of for a minute has died: its calls count as sent.

The table replaces the limiters of existing libraries, such as pyrate-limiter. Those have fixed rates, over windows that
slide or begin with the first call. Here the limit is learned at run time, and counted as the vendor counts it.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.shared_budget import Lease
from airflow_provider_crm.database.schema import budgets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from airflow_provider_crm.budget.call_answer import CallAnswer
    from airflow_provider_crm.budget.shared_budget import LeaseRequest
    from airflow_provider_crm.database.database import Database

# Seconds without a word after which a worker has died, and within which it still takes its part.
_DEAD, _ACTIVE = 60.0, 5.0
# Seconds for which nothing bounds the calls: at first, and at most.
_UNBOUND, _LONGEST_UNBOUND = 1.0, 5.0
# Seconds of spaced calls that one lease covers, and for which a lease holds, as part of a window and at least and most.
_AHEAD = 0.25
_HELD, _LEAST_HELD, _MOST_HELD = 1 / 8, 0.5, 5.0
_SHORTEST_WAIT = 0.01
# Seconds without a lease after which what is known is forgotten, unless it is of a day.
_FORGOTTEN_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class Holder:
    """What one worker has leased and not reported yet.

    Attributes:
        units: Units.
        seen_at: When it asked last, in epoch seconds.
        asked: How often it has asked while nothing bounded the calls.
    """

    units: int
    seen_at: float
    asked: int = 0


@dataclass(frozen=True, slots=True)
class SharedPace:
    """The pace of all workers; times are epoch seconds that never run backwards.

    They are the database's until its clock is set back; then they go on by the workers' monotonic clocks, so that what
    was known holds on. Without a worker that has asked before, they go on from the last use. If the clock is set
    forward, windows seem to be over: up to one window of calls may be refused before their answers correct that.

    Attributes:
        pace: What is known.
        holders: By worker.
        at: When it was used last.
        ahead: Seconds by which these times are ahead of the database's clock: by how much that was set back.
    """

    pace: Pace
    holders: dict[str, Holder]
    at: float
    ahead: float = 0.0

    def by_clock(self, database_time: float, worker_time: float = -math.inf) -> SharedPace:
        """Return the pace with `ahead` as large as it must be.

        Args:
            database_time: The time that the database's clock shows.
            worker_time: The same moment by the worker, see `LeaseRequest.at`.
        """
        return replace(self, ahead=max(self.ahead, max(self.at, worker_time) - database_time))

    def heard(self, request: LeaseRequest, answers: Sequence[CallAnswer], now: float) -> SharedPace:
        """Return the pace with what a worker reports.

        Args:
            request: Its request.
            answers: The answers that it has seen, at the database's times.
            now: The time.
        """
        pace = self.pace
        if now - self.at > _FORGOTTEN_AFTER and pace.day() is None:
            pace = request.begin
        pace = pace.with_shares(request.begin.share, request.begin.daily_share)
        held = self.holders.get(request.worker, Holder(0, now))
        dead = sum(one.units for one in self.holders.values() if now - one.seen_at > _DEAD)
        holders = {
            worker: one
            for worker, one in self.holders.items()
            if now - one.seen_at <= _DEAD and worker != request.worker
        }
        reported = sum(answer.cost for answer in answers)
        others = sum(one.units for one in holders.values())
        pace = pace.with_in_flight(others + request.in_flight + reported + dead)
        if dead:
            pace, _ = pace.answered(now, now, dead, None, refused=False)
        for answer in answers:
            sent_at, received_at, cost, limits, refused = answer
            pace, _ = pace.at(received_at).answered(sent_at, received_at, cost, limits, refused=refused, now=now)
        holders[request.worker] = Holder(request.in_flight, now, 0 if pace.is_bound else held.asked + 1)
        return replace(self, pace=pace.at(now), holders=holders, at=now)

    def granted(self, request: LeaseRequest, now: float) -> tuple[SharedPace, list[float], float]:
        """Return the pace after a grant, the moments of its calls, and the seconds to wait if there are none."""
        pace, moment, wait = self.pace, now, 0.0
        moments: list[float] = []
        most = min(request.wants // request.cost, self._fair(now))
        while len(moments) < most:
            wait = pace.wait(moment, request.cost, request.ahead)
            if wait > 0:
                if not pace.is_spaced or moment + wait > now + _AHEAD:
                    break
                moment += wait
                pace = pace.at(moment)
                continue
            pace = pace.sent(moment, request.cost)
            moments.append(moment)
        holder = self.holders[request.worker]
        held = Holder(holder.units + len(moments) * request.cost, now, holder.asked)
        after = replace(self, pace=pace, holders=self.holders | {request.worker: held}, at=now)
        return after, moments, wait

    def _fair(self, now: float) -> int:
        """Return the calls that one worker gets at most at once, so that the others get some, too."""
        active = sum(now - one.seen_at < _ACTIVE for one in self.holders.values())
        return max(math.ceil(self.pace.free(now) / (2 * active)), 1) if active > 1 else max(self.pace.free(now), 1)

    def held_for(self) -> float:
        """Return the seconds for which a lease holds."""
        lengths = [limit.length for _, limit in self.pace.limits if limit.length]
        return min(max(min(lengths, default=0.0) * _HELD, _LEAST_HELD), _MOST_HELD)

    def to_json(self) -> str:
        """Return the text that is stored."""
        holders = {worker: [one.units, one.seen_at, one.asked] for worker, one in self.holders.items()}
        return json.dumps({"pace": self.pace.to_dict(), "holders": holders, "at": self.at, "ahead": self.ahead})

    @classmethod
    def from_json(cls, text: str) -> SharedPace:
        """Return the pace that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        holders = {worker: Holder(*one) for worker, one in values["holders"].items()}
        return cls(Pace.from_dict(values["pace"]), holders, values["at"], values["ahead"])


class BudgetStore:
    """The shared budgets in one database; safe for many threads, processes and machines.

    Args:
        database: Stores them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def lease(self, name: str, request: LeaseRequest) -> Lease:
        """Record what a worker has seen, and lease a batch of calls to it, in one transaction.

        Raises:
            TransientError: With code `LEDGER`, if the database cannot be used.
        """
        with self._database.transaction() as connection:
            stored = self._locked(connection, name, request)
            database_time, read_at = self._database.now(connection).timestamp(), self._database.clock.monotonic()
            before = stored.by_clock(database_time, request.at)
            now = database_time + before.ahead
            later = now - read_at
            answers = [
                one._replace(sent_at=one.sent_at + later, received_at=min(one.received_at + later, now))
                for one in request.answers
            ]
            heard = before.heard(request, answers, now)
            if heard.pace.is_bound:
                after, moments, wait = heard.granted(request, now)
                unbound_until = -math.inf
            else:
                after, moments, wait = heard, [], 0.0
                asked = heard.holders[request.worker].asked
                unbound_until = now + min(_UNBOUND * 2.0 ** (asked - 1), _LONGEST_UNBOUND)
            self._store(connection, name, after)
        return Lease(
            tuple(moment - later for moment in moments),
            until=now + after.held_for() - later,
            unbound_until=unbound_until - later,
            wait=0.0 if moments else max(wait, _SHORTEST_WAIT),
            pace=after.pace,
            offset=later,
        )

    def _locked(self, connection: Connection, name: str, request: LeaseRequest) -> SharedPace:
        """Lock the row of that name, and return its pace; create the row if there is none."""
        query = sa.select(budgets.c.state).where(budgets.c.name == name).with_for_update()
        state = connection.execute(query).scalar_one_or_none()
        if state is None:
            first = SharedPace(request.begin, {}, 0.0)
            insert = self._database.insert(budgets).values(_values(name, first)).on_conflict_do_nothing()
            connection.execute(insert)
            state = connection.execute(query).scalar_one()
        return SharedPace.from_json(state)

    def _store(self, connection: Connection, name: str, shared: SharedPace) -> None:
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(_values(name, shared)))


def _values(name: str, shared: SharedPace) -> dict[str, object]:
    limit = shared.pace.burst() or shared.pace.day()
    ends_at = math.inf if limit is None else limit.ends_before
    return {
        "name": name,
        "kind": None if limit is None else limit.kind or None,
        "call_limit": 0 if limit is None else limit.units,
        "used": 0 if limit is None else limit.units - limit.remaining,
        "length": 0.0 if limit is None else limit.length,
        "ends_at": dt.datetime.fromtimestamp(ends_at - shared.ahead, dt.UTC) if math.isfinite(ends_at) else None,
        "state": shared.to_json(),
        "updated_at": dt.datetime.fromtimestamp(shared.at - shared.ahead, dt.UTC),
    }
