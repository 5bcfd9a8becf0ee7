"""How others would write the same rows: what the use of a limit by the operator is compared with.

Both send the operator's calls with `requests`, from 16 threads. Neither has a ledger, a report or a comparison.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

THREADS = 16
FIRST_WAIT, LONGEST_WAIT = 0.25, 4.0
REFUSED = 429


def threads_with_retry(url: str, key: str, numbers: Iterable[int]) -> int:
    """Let each thread repeat its refused call after the wait that the refusal names; return the calls that landed."""

    def put_until_accepted(put: Callable[[int], requests.Response], number: int) -> bool:
        refusals = 0
        while (answer := put(number)).status_code == REFUSED:
            refusals += 1
            time.sleep(_wait(answer, refusals))
        return answer.ok

    return _all(url, key, numbers, put_until_accepted)


def one_gate(url: str, key: str, numbers: Iterable[int]) -> int:
    """Close one gate for all threads after a refusal, and when no call remains; return the calls that landed."""
    gate = _Gate()

    def put_through_the_gate(put: Callable[[int], requests.Response], number: int) -> bool:
        while True:
            gate.wait()
            answer = put(number)
            gate.learn(answer)
            if answer.status_code != REFUSED:
                return answer.ok

    return _all(url, key, numbers, put_through_the_gate)


class _Gate:
    """Lets all threads pass, or none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opens = 0.0
        self._refusals = 0

    def wait(self) -> None:
        """Wait until it is open."""
        while (seconds := self._opens - time.monotonic()) > 0:
            time.sleep(seconds)

    def learn(self, answer: requests.Response) -> None:
        """Close it if the answer says so."""
        with self._lock:
            if answer.status_code == REFUSED:
                self._refusals += time.monotonic() >= self._opens  # those on their way are refused together
                self._opens = max(self._opens, time.monotonic() + _wait(answer, self._refusals))
                return
            self._refusals = 0
            announced = _announced(answer)
            if announced.get("remaining") == 0 and "reset" in announced:
                self._opens = max(self._opens, time.monotonic() + announced["reset"])


def _all(
    url: str, key: str, numbers: Iterable[int], send: Callable[[Callable[[int], requests.Response], int], bool]
) -> int:
    with requests.Session() as session, ThreadPoolExecutor(THREADS) as executor:
        session.auth = (key, "")
        session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))

        def put(number: int) -> requests.Response:
            values = {"value": number * 100 + 50, "note": f"deal {number}", "confidence": number % 100}
            return session.put(f"{url}/api/v1/opportunity/oppo_{number:09d}/", json=values, timeout=30)

        return sum(executor.map(lambda number: send(put, number), numbers))


def _wait(answer: requests.Response, refusals: int) -> float:
    """Return the seconds that a refusal names, else some that are doubled after each one that followed another."""
    announced = _announced(answer)
    if "Retry-After" in answer.headers:
        return float(answer.headers["Retry-After"])
    if "reset" in announced:
        return announced["reset"]
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (refusals - 1)) * random.uniform(0.5, 1.0)


def _announced(answer: requests.Response) -> dict[str, float]:
    """Read the limit of the answers, in the two notations that the server has."""
    names = {"r": "remaining", "t": "reset"}
    parts = answer.headers.get("RateLimit", "").replace(";", ",").split(",")
    pairs = (part.strip().partition("=") for part in parts if "=" in part)
    return {names.get(name, name): float(value) for name, _, value in pairs}
