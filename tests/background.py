"""A process beside a test, which talks over its pipes."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager


@contextmanager
def background(command, folder, environment):
    """Run a command in a folder, as long as the context lasts; its errors are in `background.log` there."""
    with (
        (folder / "background.log").open("ab") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
