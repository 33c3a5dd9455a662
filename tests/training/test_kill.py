"""kill -9 at ten random moments: the resumed run ends with the bits of the uninterrupted one."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time

import pytest

from ltgnn.training import checkpoint

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from ltgnn.cli import main; sys.exit(main())",
    "train",
]
SETTINGS = [
    "--synthetic.num_users", "300", "--synthetic.num_items", "400",
    "--synthetic.num_interactions", "20000", "--epochs", "80", "--batch_size", "128",
    "--threads", "1", "--ltgnn.dim", "16", "--progress", "false",
]  # fmt: skip
KILLS = 10


def final_state(run):
    """What a run ended with, less times and paths."""
    digests = {
        kind: {name: value.tolist() for name, value in checkpoint.load(run / kind).tensors.items()}
        for kind in ("last", "best")
    }
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    metrics = [{k: v for k, v in record.items() if "seconds" not in k} for record in log]
    return digests, metrics


@pytest.mark.slow
def test_killed_ten_times_it_ends_with_the_same_bits(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*COMMAND, *SETTINGS, "--out", str(whole)], check=True, capture_output=True)
    records = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    epoch = statistics.median(record["seconds"] for record in records)

    rng = random.Random(time.time_ns())
    killed, moments = 0, []
    arguments = [*SETTINGS, "--out", str(broken)]
    while killed < KILLS:
        process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        # From the moment that the run exists: before that there is nothing to resume. Then some time within the
        # epoch that begins with the next line of the log, so that ten kills fit into the run on any machine.
        while not (broken / "config.json").exists() and process.poll() is None:
            time.sleep(0.01)
        epochs = logged(broken) if killed else 0
        while killed and process.poll() is None and logged(broken) <= epochs:
            time.sleep(0.002)
        moment = rng.uniform(0.0, epoch)
        moments.append(round(moment, 4))
        time.sleep(moment)
        ended = process.poll()
        process.kill()
        _, said = process.communicate()
        assert ended is None, f"after {killed} kills the run ended with {ended}: {said.decode()}"
        killed += 1
        arguments = ["--resume", str(broken), "--threads", "1", "--progress", "false"]
    print(f"{killed} kills, {moments} seconds after a new epoch, epochs of {epoch:.3f} s")
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True)
    assert final_state(broken) == final_state(whole)


def logged(run) -> int:
    """Epochs in the log."""
    with open(run / "log.jsonl") as log:
        return sum(1 for _ in log)
