"""A throw-away Airflow: its own home, its own settings, nothing of the user's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow_provider_crm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TAIL_LINES = 60


class AirflowHomeError(RuntimeError):
    """A process of the throw-away Airflow failed; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One finished DAG run.

    Attributes:
        dag_id: Which DAG.
        logical_date: Which run of it, ISO with offset.
        state: `success` or `failed`.
        reports: The provider's report, or plan, by task id, for each task that made one.
        states: Task state by task id.
        seconds: Duration.
    """

    dag_id: str
    logical_date: str
    state: str
    reports: Mapping[str, dict[str, Any]]
    states: Mapping[str, str]
    seconds: float


class DagProcess:
    """A running `run_dags`, which waits for the next run while the caller looks at the last one.

    Args:
        process: With text pipes; its DAG files are read when this returns.

    Attributes:
        dag_ids: The DAGs that Airflow found in the files.

    Raises:
        AirflowHomeError: A DAG file could not be imported.
        EOFError: The process ended before it answered.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        answer = self._answer()
        if answer["import_errors"]:
            raise AirflowHomeError("\n".join(answer["import_errors"].values()))
        self.dag_ids: tuple[str, ...] = tuple(answer["dag_ids"])

    def run(
        self, dag_id: str, logical_date: str, *, conf: Mapping[str, str] | None = None, until: str | None = None
    ) -> DemoRun:
        """Run a DAG with `dag.test()`.

        Args:
            dag_id: Which.
            logical_date: ISO with offset; the same one twice is the same run twice.
            conf: The run's configuration, which sets its params.
            until: The last task to run, after all tasks that it needs; default: the whole DAG.

        Raises:
            EOFError: The process ended before it answered.
        """
        if self._process.stdin is None:
            raise EOFError
        step = {"dag_id": dag_id, "logical_date": logical_date, "conf": dict(conf or {}), "until": until}
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        tasks = answer["tasks"]
        return DemoRun(
            dag_id=answer["dag_id"],
            logical_date=answer["logical_date"],
            state=answer["state"],
            reports={name: task["report"] for name, task in tasks.items() if task["report"]},
            states={name: task["state"] for name, task in tasks.items()},
            seconds=answer["seconds"],
        )

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer


def example_dags() -> Path:
    """Return the folder of the example DAGs: inside the installed package, beside it in a checkout."""
    package = Path(airflow_provider_crm.__file__).parent
    return next(folder for folder in (package / "example_dags", package.parent / "example_dags") if folder.is_dir())


class AirflowHome:
    """A folder that holds a whole Airflow: settings, metadata database, DAG files, logs.

    Args:
        root: An empty folder.
        connections: The value of `AIRFLOW_CONN_<ID>` by connection id.
        dags: Folder whose DAG files are copied into it; default: the example DAGs. Files of folders in it are left out,
            as those examples need providers that are not installed everywhere.
    """

    def __init__(self, root: Path, *, connections: Mapping[str, str], dags: Path | None = None) -> None:
        self.root = root
        self.dags = root / "dags"
        self.log = root / "demo.log"
        self.dag_ids: tuple[str, ...] = ()
        """The DAGs that Airflow found in the files, known after the first run."""
        self._connections = connections
        self.dags.mkdir()
        for file in (dags or example_dags()).glob("*.py"):
            shutil.copy(file, self.dags)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of its processes: the user's without any Airflow setting, then its own."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.upper().startswith(("AIRFLOW", "_AIRFLOW"))
        }
        own = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
            "AIRFLOW_HOME": str(self.root),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.root / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.root / "logs"),
            "PYTHONUTF8": "1",
            "PYTHONWARNINGS": "ignore",
        }
        connections = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in self._connections.items()}
        return inherited | own | connections

    def migrate(self) -> None:
        """Create the metadata database.

        Raises:
            AirflowHomeError: `airflow db migrate` failed.
        """
        with self.log.open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise AirflowHomeError(self._failure("airflow db migrate", done.returncode))

    def run(self, plan: Iterable[tuple[str, str]]) -> Iterator[DemoRun]:
        """Run DAGs in one process, each with `dag.test()`; yields each result as it comes.

        Args:
            plan: DAG id and logical date (ISO with offset), in order.

        Raises:
            AirflowHomeError: A DAG file could not be imported, or the process failed.
        """
        with self.start() as process:
            for dag_id, date in plan:
                yield process.run(dag_id, date)

    @contextmanager
    def start(self) -> Iterator[DagProcess]:
        """Start a process that has read the DAG files and runs DAGs on demand; it ends with the context.

        Raises:
            AirflowHomeError: A DAG file could not be imported, or the process failed.
        """
        with (
            self.log.open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", "airflow_provider_crm.demo.run_dags"],
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            ) as process,
        ):
            try:
                started = DagProcess(process)
                self.dag_ids = started.dag_ids
                yield started
            except EOFError as err:
                raise AirflowHomeError(self._failure("the process that runs the DAGs", process.wait())) from err
            finally:
                if process.poll() is None and sys.exc_info()[0] is not None:
                    process.terminate()
        if process.returncode:
            raise AirflowHomeError(self._failure("the process that runs the DAGs", process.returncode))

    def log_tail(self) -> str:
        """Return the end of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_TAIL_LINES:])

    def _failure(self, what: str, status: int) -> str:
        return f"{what} ended with status {status}. The end of its log:\n{self.log_tail()}"
