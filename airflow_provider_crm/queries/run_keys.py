"""Read run keys, which name Dag, task, map index and run."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Airflow lets neither slash nor bracket into the ids of Dags and tasks; a run id may have any characters.
_FORM = re.compile(r"([^/\[\]]+)/([^/\[\]]+)(?:\[(\d+)\])?/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RunKey:
    """One run of one task, as the ledger names it: `dag/task/run`, with `[index]` after the task if it is mapped.

    Attributes:
        dag_id: Its Dag, which decides which users may see it.
        task_id: Its task.
        run_id: The Dag run.
        map_index: Index of a mapped task, else -1.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1

    @classmethod
    def parse(cls, text: str) -> RunKey | None:
        """Read a key; None for any other text."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        dag_id, task_id, index, run_id = found.groups()
        return cls(dag_id, task_id, run_id, -1 if index is None else int(index))

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.task}/{self.run_id}"

    @property
    def task(self) -> str:
        """The task, with its map index in brackets if it is mapped."""
        return f"{self.task_id}[{self.map_index}]" if self.map_index >= 0 else self.task_id
