"""One run in a process of its own, which `studies.process` starts.

The first line of standard input is the order, a JSON object; a line of JSON on standard output answers each epoch.
Standard input stays open as long as the parent lives: its end ends this process, so that a study that was killed
leaves nothing at work in its folders.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from ltgnn.training import CheckpointError
from ltgnn.training.experiment import Experiment, resume, run


def say(message: dict[str, Any]) -> None:
    """One line to the parent."""
    print(json.dumps(message), flush=True)


def die_with_parent() -> None:
    """End this process at once when standard input ends."""
    # Below Python's own buffer, whose lock this thread would still hold when the interpreter shuts down.
    while os.read(0, 1 << 12):
        pass
    os._exit(1)


def work(order: dict[str, Any]) -> None:
    """Do the run, or what is left of it."""
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    # Freed by the system however a process ends: waits for one that has not noticed yet that its parent died.
    with open(folder.parent / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def on_epoch(record: dict[str, Any]) -> None:
            say({"epoch": record})

        if order["resume"]:
            try:
                resume(folder, on_epoch=on_epoch)
                return
            except CheckpointError as error:
                print(f"starts anew, since no checkpoint is intact: {error}", file=sys.stderr)
        shutil.rmtree(folder)
        run(Experiment.from_dict(order["experiment"]), folder, on_epoch=on_epoch)


def main() -> int:
    """Read the order, do it, say how it ended."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=die_with_parent, daemon=True).start()
    if order["threads"] is not None:
        torch.set_num_threads(order["threads"])
    try:
        work(order)
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        raise
    say({"done": True})
    return 0
