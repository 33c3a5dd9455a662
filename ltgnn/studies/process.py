"""Runs an experiment in a process of its own, so that its peak memory and its end are its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltgnn.studies.run_folder import StudyRun

# The same ltgnn as here, wherever that came from.
CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ltgnn.studies.child import main; sys.exit(main())"
)
LINES_KEPT = 30  # of what a failed run wrote to standard error


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        error: why it failed; None where it did not.
        details: the last lines that it wrote to standard error, where it failed.
        stopped: it was ended on request, before its last epoch.
    """

    error: str | None = None
    details: str = ""
    stopped: bool = False


def run_in_process(
    run: StudyRun,
    *,
    threads: int | None = None,
    on_epoch: Callable[[dict[str, Any]], bool | None] | None = None,
) -> Outcome:
    """Do a run, or what is left of it; nothing where it is finished.

    Args:
        run: which; its folder is where it is kept.
        threads: of torch; None: its own choice.
        on_epoch: called with the record of each epoch as it ends; True ends the run there. Epochs that an
            interrupted run has behind it are in `run.records()`, and some of them may come again.

    Returns:
        How it ended. A failure of the run is no exception here.
    """
    state = run.state()
    if state == "finished":
        return Outcome()
    run.root.mkdir(parents=True, exist_ok=True)
    errors = run.root / "stderr.txt"
    with open(errors, "w") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
        try:
            stopped, error, done = _attend(child, run, state == "interrupted", threads, on_epoch)
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                # An order that the child did not live to read is still in the buffer.
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
    details = _last_lines(errors)
    errors.unlink()
    if stopped or done:
        return Outcome(stopped=stopped)
    return Outcome(error or _end(child.returncode), details)


def _attend(
    child: subprocess.Popen[str],
    run: StudyRun,
    resume: bool,
    threads: int | None,
    on_epoch: Callable[[dict[str, Any]], bool | None] | None,
) -> tuple[bool, str | None, bool]:
    """Give the order and hear what becomes of it: (stopped, error, done)."""
    assert child.stdin is not None and child.stdout is not None
    order = {
        "folder": str(run.folder), "resume": resume, "threads": threads,
        "experiment": asdict(run.experiment),
    }  # fmt: skip
    with suppress(BrokenPipeError):  # it ended before it could read: its exit status says why
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
    error, done = None, False
    for line in child.stdout:
        try:
            message = json.loads(line)
        except ValueError:
            continue  # not ours: a library that prints
        if not isinstance(message, dict):
            continue
        if "epoch" in message and on_epoch is not None and on_epoch(message["epoch"]):
            return True, None, False
        error = message.get("error", error)
        done = done or "done" in message
    child.wait()
    return False, error, done and child.returncode == 0


def _end(status: int) -> str:
    if status >= 0:
        return f"the process ended with status {status}"
    hint = " (out of memory?)" if -status == signal.SIGKILL else ""
    return f"the process was ended by {signal.Signals(-status).name}{hint}"


def _last_lines(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LINES_KEPT:])
