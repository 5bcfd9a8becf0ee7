"""Print how much of each kind of limit is used, and how many calls are refused, on the virtual clock.

    python -m tests.budget.matrix [--processes N] [--seed N] [--missed] [GROUP | WORD ...]

A group is one of `cells.GROUPS`; without any, all of them. A word is a whole word of a cell's title, such as
`first_call`, `100/1s`, `4+store` or `share=0.5`; cells that have all of the words are run. Words joined by a comma are
alternatives. A line ends with the figures that miss the cell's goal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import sqlalchemy as sa

from .cells import GROUPS, Cell

_HEAD = f"{'kind':14s} {'limit':9s} {'announced':10s} {'workers':7s} {'':9s} {'':4s}   used refused  peak idle  others"


def main(arguments: Sequence[str]) -> int:
    """Run the cells that the arguments name; return 1 if any misses its goal."""
    parser = argparse.ArgumentParser(description="Measure the pacing on the virtual clock.")
    parser.add_argument("words", nargs="*", help=f"groups ({', '.join(GROUPS)}), and words of the cells' titles")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missed", action="store_true", help="print only the cells that miss their goals")
    options = parser.parse_args(arguments)
    cells = list(_chosen(options.words))
    began, missed = time.monotonic(), 0
    print(_HEAD)
    with Pool(options.processes) as pool:
        for line, misses in pool.imap(partial(_line, seed=options.seed), cells):
            missed += misses
            if misses or not options.missed:
                print(line, flush=True)
    print(f"{missed} of {len(cells)} cells miss their goals; {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


def _chosen(words: Sequence[str]) -> Iterator[Cell]:
    groups = [word for word in words if word in GROUPS] or list(GROUPS)
    named = [word.split(",") for word in words if word not in GROUPS]
    for group in groups:
        for cell in GROUPS[group]():
            title = cell.title.split()
            if all(any(one in title for one in alternatives) for alternatives in named):
                yield cell


def _line(cell: Cell, seed: int) -> tuple[str, bool]:
    """Run a cell, and return its line and whether it misses its goal."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{Path(folder) / 'budget.db'}")
        measured, kind = cell.run(engine, "budget", seed=seed)
        engine.dispose()
    missed = cell.goal.missed(measured)
    others = f"{measured.others_refused:7.2%}" if cell.others else " " * 7
    figures = f"{measured.used:6.1%} {measured.refused:7.2%} {measured.peak:5.0%} {measured.idle:4.1f} {others}"
    return f"{cell.title} {figures}  {kind} {' '.join(f'!{one}' for one in missed)}".rstrip(), bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
