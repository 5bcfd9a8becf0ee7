"""The processes of an Airflow that runs in parts: each with a log of its own, ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import psutil


def airflow(*arguments):
    """A command of Airflow."""
    return [sys.executable, "-m", "airflow", *arguments]


def run(command, environment, folder, *, timeout=300):
    """Run a command to its end."""
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr


def family(process):
    """A process that runs, and all that it started, each in whatever process group."""
    first = psutil.Process(process.pid)
    return [first, *first.children(recursive=True)]


@contextmanager
def started(name, command, environment, folder):
    """A process with a log of its name in a folder, stopped with all that it started."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            whole = family(process)
            process.terminate()
            _, left = psutil.wait_procs(whole, timeout=20)
            _kill_all(left)
            process.wait(20)


def kill(process):
    """End a process at once with all that it started, as if its machine were gone."""
    whole = family(process)
    os.killpg(process.pid, signal.SIGKILL)
    _kill_all(whole)  # the tasks of a worker are in process groups of their own
    process.wait(20)


def wait_for(folder, what, seconds, condition):
    """Wait until something is so; returns what the condition found."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        logs = [f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(folder.glob("*.log"))]
        assert time.monotonic() < deadline, "\n".join([f"{what} did not happen within {seconds} s.", *logs])
        time.sleep(0.2)
    return found


def _kill_all(processes):
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
