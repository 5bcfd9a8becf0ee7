"""The other end of `racer`: starts pushes in processes of their own, kills some of them, and tells how each ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import airflow_provider_crm

OUT_OF_TIME = -signal.SIGPROF
_LONGEST = 400.0


class Racer:
    """Pushes in killable processes; safe for many threads.

    Args:
        paths: Folders that the processes import from besides, such as the one of a vendor's distribution.
    """

    def __init__(self, *paths):
        package = str(Path(airflow_provider_crm.__file__).parents[1])
        paths = [*paths, package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("racer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        )
        self._lock = threading.Lock()
        self._events = {}
        self._reader = threading.Thread(target=self._dispatch, daemon=True)
        self._reader.start()

    def stop(self):
        """End the process that starts the others."""
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._reader.join(timeout=30)
        self._process.stdout.close()

    def push(self, job, *, kill_when=None):
        """Run one push to its end, or kill it as soon as a condition holds, or when its `cpu_seconds` are used up.

        A push that hangs is killed all the same, and -9 tells so.

        Returns:
            0 if every row is settled, 1 if some are left for a retry, -9 or `OUT_OF_TIME` if it was killed first.
        """
        name = uuid.uuid4().hex
        events = queue.SimpleQueue()
        with self._lock:
            self._events[name] = events
            self._process.stdin.write(json.dumps({**job, "name": name}) + "\n")
            self._process.stdin.flush()
        _, pid = events.get(timeout=_LONGEST)  # the first one waits until Python and the package are there
        deadline = time.monotonic() + _LONGEST
        ended = None
        while ended is None and time.monotonic() < deadline and not (kill_when is not None and kill_when()):
            wait = 0.002 if kill_when is not None else max(0.0, deadline - time.monotonic())
            with contextlib.suppress(queue.Empty):
                ended = events.get(timeout=wait)
        if ended is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in this very moment
                os.kill(pid, signal.SIGKILL)
            ended = events.get(timeout=60)
        status = ended[1]
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 1, -signal.SIGKILL, OUT_OF_TIME), f"a push broke: {code}"
        return code

    def _dispatch(self):
        for line in self._process.stdout:
            name, *event = json.loads(line)
            self._events[name].put(event)


def reported_outcomes(path):
    """Return the outcomes reported so far: record id, outcome, code, reason; a line that a kill cut is left out."""
    lines = Path(path).read_text().split("\n")[:-1] if Path(path).exists() else []
    return [json.loads(line) for line in lines]
