"""The handler that Snakemake calls with every event."""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_tessella import lines
from tessella.errors import DataError
from tessella.run.progress import Job, Progress, write_record
from tessella.run.slurm_jobs import how_it_ended

#: A log record with the attributes that Snakemake attaches to its events.
_Record = Any

#: Names the folder of results of the run; the Snakefile sets it.
RESULTS_VARIABLE = "TESSELLA_RESULTS"

#: What Snakemake counts among its jobs although no stage works: the sum, and the target rule.
_NO_STAGES = ("total", "all")

_RESTART = re.compile(r"Trying to restart job (\d+)")

#: The record is written at most this often while jobs end well [s].
_RECORD_INTERVAL = 5.0


class LogHandler(LogHandlerBase):
    """Write one line a job, and below them, on a terminal, one that moves."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = True
    needs_rulegraph = True

    def __post_init__(self) -> None:
        """Start with nothing known."""
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self.progress = Progress({})
        self.links: list[tuple[str, str]] = []
        self.cores: int | None = None
        self.bar: Any = None
        self.recorded = 0.0
        self.results: Path | None = None
        self._on: dict[Any, Callable[[_Record], None]] = {
            LogEvent.RULEGRAPH: self._rulegraph,
            LogEvent.RESOURCES_INFO: self._resources,
            LogEvent.RUN_INFO: self._run_info,
            LogEvent.JOB_INFO: self._job_info,
            LogEvent.JOB_FINISHED: self._job_finished,
            LogEvent.JOB_ERROR: self._job_error,
            LogEvent.SHELLCMD: self._shell_command,
            LogEvent.WORKFLOW_STARTED: self._nothing,
            LogEvent.JOB_STARTED: self._nothing,
            LogEvent.PROGRESS: self._nothing,
        }

    def emit(self, record: logging.LogRecord) -> None:
        """Say what an event means; a fault of ours never stops a run."""
        try:
            self._on.get(getattr(record, "event", None), self._message)(record)
        except Exception:  # the run goes on, and logging says what happened
            self.handleError(record)

    def close(self) -> None:
        """Take the moving line away and keep the record."""
        self._stop_bar()
        if self.progress.n_planned and not self.common_settings.dryrun:
            self._keep()
        super().close()

    def _nothing(self, record: _Record) -> None:
        pass

    def _rulegraph(self, record: _Record) -> None:
        graph = record.rulegraph
        self.links = [(link["sourcerule"], link["targetrule"]) for link in graph["links"]]

    def _resources(self, record: _Record) -> None:
        self.cores = getattr(record, "cores", self.cores)

    def _run_info(self, record: _Record) -> None:
        if self.progress.n_planned:
            return
        stats = dict(getattr(record, "stats", None) or {})
        planned = {rule: count for rule, count in stats.items() if rule not in _NO_STAGES}
        self._say(lines.overview(planned, self.cores))
        self.progress = Progress(planned, self.links)
        if not self.common_settings.dryrun:
            self._keep()
            self._start_bar()

    def _job_info(self, record: _Record) -> None:
        job = _job_of(record)
        if self.common_settings.dryrun:
            if job.rule not in _NO_STAGES:
                self._say("  " + lines.coming(job, getattr(record, "reason", "")))
            return
        self.progress.start(record.jobid, job)
        self._move()

    def _job_finished(self, record: _Record) -> None:
        job, seconds = self.progress.finish(record.job_id, record.created)
        if job is not None and job.rule not in _NO_STAGES:
            self._say(lines.finished(self.progress, job, seconds, record.created))
        if self.progress.n_done == self.progress.n_planned:
            self._stop_bar()
            self._keep()
        elif time.monotonic() - self.recorded > _RECORD_INTERVAL:
            self._keep()
        self._move()

    def _job_error(self, record: _Record) -> None:
        started = self.progress.running.get(record.jobid, _job_of(record))
        slurm_log = _slurm_log(record)
        killed = how_it_ended(str(getattr(record, "rule_msg", None) or ""), slurm_log)
        failure = self.progress.fail(record.jobid, started, killed, slurm_log)
        for line in lines.failed(failure, record.created):
            self._say(line)
        self._keep()
        self._move()

    def _restart(self, jobid: int, when: float) -> None:
        failure = self.progress.retry(jobid)
        if failure is not None:
            self._say(lines.retried(failure, when))
            self._keep()

    def _shell_command(self, record: _Record) -> None:
        if self.common_settings.printshellcmds:
            self._say(str(getattr(record, "shellcmd", "") or record.getMessage()))

    def _message(self, record: _Record) -> None:
        text = record.getMessage()
        text = "" if text == "None" else text
        if "Directory cannot be locked" in text:
            text = lines.LOCKED
        restart = _RESTART.match(text)
        if restart:
            self._restart(int(restart[1]), record.created)
            return
        if text.startswith("Exiting because"):
            self._stop_bar()
            self._keep()
        if text.startswith("Nothing to be done") and not self.common_settings.dryrun:
            self._nothing_to_do()
        elif self.common_settings.verbose or not lines.is_noise(text):
            self._say(text)

    def _nothing_to_do(self) -> None:
        """Show what there is, since no job and no hook will."""
        self._say("Nothing to be done: all products are there.")
        folder = self._folder()
        if folder:
            from tessella.commands.status import show

            show(str(folder), None, file=self.stream)

    def _folder(self) -> Path | None:
        """Return the folder of results; Snakemake leaves its working directory before it ends."""
        if self.results is None and RESULTS_VARIABLE in os.environ:
            self.results = Path(os.environ[RESULTS_VARIABLE]).resolve()
        return self.results

    def _keep(self) -> None:
        folder = self._folder()
        if folder:
            failed = bool(self.progress.failed)
            complete = self.progress.n_done == self.progress.n_planned
            state = "done" if complete else "failed" if failed else "running"
            try:
                write_record(folder, self.progress.record(state))
            except DataError as error:
                self._say(f"ERROR: {error}")
            self.recorded = time.monotonic()

    def _say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self.stream.write(line + "\n")
            self.stream.flush()

    def _start_bar(self) -> None:
        if not self.stream.isatty() or os.environ.get("TERM") == "dumb":
            return
        from snakemake_logger_plugin_tessella.bar import make_bar

        self.bar = make_bar(self.stream, self.progress.n_planned, self.common_settings.nocolor)
        self.bar.start()

    def _move(self) -> None:
        if self.bar is not None:
            rest = lines.left(self.progress.seconds_left(time.time()))
            running = ", ".join(dict.fromkeys(j.rule for j in self.progress.running.values()))
            task = self.bar.task_ids[0]
            self.bar.update(task, completed=self.progress.n_done, left=rest, running=running)

    def _stop_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _job_of(record: _Record) -> Job:
    what = lines.words(getattr(record, "wildcards", None))
    logs = tuple(str(Path(str(log)).resolve()) for log in getattr(record, "log", None) or ())
    return Job(record.rule_name, what, logs, record.created)


def _slurm_log(record: _Record) -> str:
    """Return Slurm's log of a failed job: the executor adds it to the rule's own."""
    if "external_jobid" not in (getattr(record, "aux", None) or {}):
        return ""
    logs = getattr(record, "log", None) or [""]
    return str(logs[-1])
