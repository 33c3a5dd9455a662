"""Everything that needs a GPU, in one command: build, tests, NVIDIA's sanitizers, benchmarks.

    python -m benchmarks.gpu                      # all of it, in this Python environment (torch with CUDA, nvcc)
    python -m benchmarks.gpu --only tests memcheck
    python -m benchmarks.gpu --dry_run            # what would run; needs no GPU

Every step runs, also after one has failed. What came of each goes into
`benchmarks/results/gpu/<card>-<time>.json`, with the card, driver and versions; each benchmark's own figures are in
there too. Gowalla is read from the folder that LTGNN_DATA names; without one made-up graphs stand in. Exit status:
0 where all steps passed, 1 where one did not, 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
# Cases that take every kernel through a narrow width, a hub row and repeated edges, in one dtype.
SMALL_CASES = "test_equals_reference and cuda and f32 and (d33 or hub or duplicates)"
BENCHMARKS = {
    "bench_propagate": [["--graph", "synthetic"], ["--graph", "small"]],
    "bench_propagate_backward": [["--graph", "synthetic"]],
    "bench_sample_aggregate": [["--graph", "gowalla"]],
    "bench_ltgnn_step": [["--graph", "gowalla"]],
    "bench_in_batch_softmax": [["--batch", "2048"], ["--batch", "16384"]],
    "bench_adam": [["--rows", "20000"], ["--rows", "4000000"]],
    "bench_epoch_pairs": [[]],
    "bench_topk": [["--graph", "gowalla"]],
    "bench_incremental": [["--graph", "gowalla"]],
}
# What stands in for Gowalla where LTGNN_DATA names no folder with it.
STAND_IN = {"bench_topk": "small"}
TAIL = 4000  # characters of a step's output that are kept


@dataclass
class Step:
    """One command, and where its own result goes."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    result: Path | None = None  # JSON that the command writes
    timeout: float = 3600
    missing: str | None = None  # why it cannot run


def sanitizer_path() -> str | None:
    """compute-sanitizer, which the toolkit keeps beside nvcc or in a folder of its own."""
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    places = [
        f"{home}/{folder}" for home in homes if home for folder in ("bin", "compute-sanitizer")
    ]
    return shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path=os.pathsep.join(places)
    )


def unfit(benchmark: Path) -> str | None:
    """Why a benchmark cannot be run on a GPU; None where it can."""
    if not benchmark.exists():
        return f"there is no benchmarks/{benchmark.name}"
    lacking = [flag for flag in ("--device", "--json") if f'"{flag}"' not in benchmark.read_text()]
    return f"benchmarks/{benchmark.name} takes no {' and no '.join(lacking)}" if lacking else None


def plan(folder: Path) -> list[Step]:
    """All steps; results of benchmarks go into `folder`."""
    python = sys.executable
    pytest = [python, "-m", "pytest", "-m", "cuda", "-p", "no:cacheprovider"]
    steps = [
        # In place: what runs from this folder finds the modules of this folder first.
        Step("build", [python, "-m", "pip", "install", "-e", "."], {"LTGNN_CUDA": "1"}),
        Step(
            "doctor",
            [python, "-c", "from ltgnn.cli import main; raise SystemExit(main(['doctor']))"],
        ),
        Step("tests", [*pytest, "-rs"]),
    ]
    sanitizer = sanitizer_path()
    missing = (
        None if sanitizer else "compute-sanitizer was not found: it is part of the CUDA toolkit"
    )
    for tool in SANITIZERS:
        command = [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "99"]
        if tool == "memcheck":
            command += [
                "--padding",
                "64",
            ]  # between allocations: an access past the end is then seen
        # Without its cache torch gives every tensor memory of its own, with bounds that can be checked.
        steps.append(
            Step(tool, [*command, *pytest, "-x", "tests/ops/test_generic.py", "-k", SMALL_CASES],
                 {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}, missing=missing)
        )  # fmt: skip
    has_data = Path(os.environ.get("LTGNN_DATA", ""), "gowalla").is_dir()
    for module, variants in BENCHMARKS.items():
        for number, wanted in enumerate(variants):
            stand_in = STAND_IN.get(module, "synthetic")
            arguments = wanted if has_data else [stand_in if a == "gowalla" else a for a in wanted]
            result = folder / f"{module}-{number}.json"
            steps.append(
                Step(
                    " ".join([module, *arguments]),
                    [python, "-m", f"benchmarks.{module}", *arguments, "--device", "cuda",
                     "--json", str(result)],
                    result=result,
                    missing=unfit(ROOT / "benchmarks" / f"{module}.py"),
                )
            )  # fmt: skip
    return steps


def run(step: Step) -> dict[str, Any]:
    """Run one step; returns what came of it."""
    record: dict[str, Any] = {
        "name": step.name,
        "command": " ".join(step.command),
        "environment": step.environment,
    }
    if step.missing is not None:
        return {**record, "status": "not run", "why": step.missing}
    start = time.perf_counter()
    try:
        done = subprocess.run(
            step.command, cwd=ROOT, env={**os.environ, **step.environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=step.timeout, errors="replace",
        )  # fmt: skip
        code, output = done.returncode, done.stdout
        status = "passed" if code == 0 else "failed"
    except subprocess.TimeoutExpired as stopped:
        code, status = None, f"stopped after {step.timeout:.0f} s"
        raw = stopped.stdout or b""
        output = raw if isinstance(raw, str) else raw.decode(errors="replace")
    except OSError as error:
        code, status, output = None, "failed", str(error)
    record |= {
        "status": status,
        "exit_code": code,
        "seconds": round(time.perf_counter() - start, 1),
        "output_tail": output[-TAIL:],
    }
    if step.result is not None and step.result.exists():
        record["result"] = json.loads(step.result.read_text())
    elif step.result is not None and status == "passed":
        record["status"] = "failed"
        record["why"] = "it wrote no result"
    return record


def no_gpu() -> str | None:
    """Why nothing can run on a GPU here; None where something can."""
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} has no CUDA: install a CUDA build of torch"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU or no driver (see `nvidia-smi`)"
    return None


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown: nvidia-smi was not found"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[0].strip()


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def machine() -> dict[str, Any]:
    """Card, driver and versions."""
    facts: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    facts["commit"] = _output("git", "describe", "--always", "--dirty") or "unknown"
    release = re.search(r"V[\d.]+", _output("nvcc", "--version"))
    facts["nvcc"] = release[0][1:] if release else "not on PATH"
    try:
        import torch
    except ImportError:
        return facts
    facts |= {"torch": torch.__version__, "cuda": torch.version.cuda, "driver": _driver()}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        facts |= {
            "card": card.name,
            "compute_capability": f"{card.major}.{card.minor}",
            "memory_bytes": card.total_memory,
            "processors": card.multi_processor_count,
            "l2_bytes": card.L2_cache_size,
        }
    return facts


def file_name(card: str, now: datetime) -> str:
    """`nvidia-h100-80gb-hbm3-2026-01-31-180509.json`."""
    words = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    return f"{words}-{now:%Y-%m-%d-%H%M%S}.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the steps and write what came of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="STEP", help="names, or how they begin")
    parser.add_argument("--skip", nargs="+", metavar="STEP", default=[])
    parser.add_argument("--dry_run", action="store_true", help="run nothing; works without a GPU")
    parser.add_argument("--json", type=Path, help="where to write, in place of results/gpu/")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        steps = plan(Path(scratch))
        for wanted in [*(args.only or []), *args.skip]:
            if not any(step.name.startswith(wanted) for step in steps):
                parser.error(
                    f"there is no step {wanted!r}; there are {', '.join(s.name for s in steps)}"
                )
        if args.only:
            steps = [step for step in steps if step.name.startswith(tuple(args.only))]
        steps = [step for step in steps if not step.name.startswith(tuple(args.skip))]
        problem = no_gpu()
        if problem is not None and not args.dry_run:
            print(f"benchmarks.gpu: this needs an NVIDIA GPU, but {problem}", file=sys.stderr)
            return 2
        now = datetime.now(timezone.utc)
        facts = machine()
        records = []
        for step in steps:
            if args.dry_run:
                step.missing = step.missing or "dry run"
            print(f"== {step.name}", flush=True)
            record = run(step)
            records.append(record)
            print(f"   {record['status']}: {record.get('why') or record['command']}", flush=True)
            if record["status"] == "failed":
                print(record.get("output_tail", ""), flush=True)
    path = args.json
    if path is None and not args.dry_run:
        path = ROOT / "benchmarks" / "results" / "gpu" / file_name(facts["card"], now)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": facts, "time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "dry_run": args.dry_run}
        path.write_text(json.dumps({**report, "steps": records}, indent=2) + "\n")
        print(f"written: {path}")
    bad = [record["name"] for record in records if record["status"] != "passed"]
    if bad and not args.dry_run:
        print(f"benchmarks.gpu: did not pass: {', '.join(bad)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
