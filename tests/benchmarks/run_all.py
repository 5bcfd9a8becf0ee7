"""Run every benchmark and write what they print into one Markdown file, with date and machine.

    python tests/benchmarks/run_all.py [--quick] [--out tests/benchmarks/RESULTS.md]

Takes about an hour; `--quick` takes fewer rounds and paces calls on a virtual clock only, for a quarter of it. Every
figure that counts is a ratio within one run, as machines differ and are shared.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SECTIONS = (
    ("Share of the allowed calls used by the operator", "budget_use.py", ["--extended"], ["--only", "aligned"]),
    ("Share of the allowed calls used by the pacers alone, and their cost", "budget_parts.py", [], ["--virtual"]),
    ("Speed", "speed.py", [], ["--rounds", "1"]),
    ("Rows that fail now and then", "faults.py", [], ["--rounds", "1"]),
    ("Speed of rows that share calls", "speed.py", ["--batch-rows", "100000"], ["--batch-rows", "20000"]),
    ("A quiet run: nothing changed", "quiet_run.py", ["1000000"], ["1000000"]),
    ("Peak memory", "memory.py", ["10000", "200000", "10000000"], ["10000", "200000", "10000000"]),
)
"""Title, script, arguments, arguments of a quick run."""


def machine():
    """What the figures were measured on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "pandas", "requests", "sqlalchemy"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    chosen = parser.parse_args()
    texts = [f"# Benchmarks\n\n{dt.datetime.now(dt.UTC):%Y-%m-%d}, {machine()}. Made by `run_all.py`."]
    with tempfile.TemporaryDirectory() as folder:
        for title, script, whole, quick in SECTIONS:
            arguments = quick if chosen.quick else whole
            if title == "Speed":
                arguments = [*arguments, "--out", str(Path(folder) / "speed.md")]
            command = [sys.executable, str(HERE / script), *arguments]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            texts.append(f"## {title}\n\n{done.stdout.strip()}")
            chosen.out.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        plot = Path(folder) / "speed.svg"
        if plot.exists():
            chosen.out.with_suffix(".svg").write_text(plot.read_text(encoding="utf-8"), encoding="utf-8")
            text = chosen.out.read_text(encoding="utf-8")
            chosen.out.write_text(f"{text}\n![rows per second]({chosen.out.stem}.svg)\n", encoding="utf-8")


if __name__ == "__main__":
    main()
