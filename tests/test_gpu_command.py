"""The one command for a machine with a GPU: what of it can be tried without one."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


@pytest.fixture
def fake_gpu(monkeypatch):
    """As on a machine with a GPU, where the steps are small programs."""
    monkeypatch.setattr(gpu, "no_gpu", lambda: None)
    monkeypatch.setattr(gpu, "machine", lambda: {"card": "NVIDIA X100"})

    def use(*steps: gpu.Step) -> None:
        monkeypatch.setattr(gpu, "plan", lambda folder: list(steps))

    return use


def program(name: str, text: str, **options) -> gpu.Step:
    return gpu.Step(name, [sys.executable, "-c", text], **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_refuses(capsys, tmp_path):
    assert gpu.main(["--json", str(tmp_path / "x.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("benchmarks.gpu: this needs an NVIDIA GPU, but torch ")
    assert not (tmp_path / "x.json").exists()


def test_a_dry_run_lists_every_step(tmp_path, capsys):
    path = tmp_path / "folder" / "x.json"
    assert gpu.main(["--dry_run", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["dry_run"] is True and report["machine"]["torch"] == torch.__version__
    names = [step["name"] for step in report["steps"]]
    assert names[:3] == ["build", "doctor", "tests"]
    assert set(gpu.SANITIZERS) < set(names)
    for module in gpu.BENCHMARKS:
        assert any(name.startswith(module) for name in names)
    assert {step["status"] for step in report["steps"]} == {"not run"}
    assert "compute-sanitizer" in capsys.readouterr().out


def test_without_real_data_made_up_graphs_stand_in(tmp_path, monkeypatch):
    def graphs(data):
        monkeypatch.setenv("LTGNN_DATA", str(data))
        steps = {step.name.split()[0]: step.command for step in gpu.plan(tmp_path)}
        return {
            name: command[command.index("--graph") + 1]
            for name, command in steps.items()
            if "--graph" in command
        }

    without = graphs(tmp_path / "none")
    assert "gowalla" not in without.values() and without["bench_topk"] == "small"
    (tmp_path / "gowalla").mkdir()
    assert graphs(tmp_path)["bench_topk"] == "gowalla" and without.keys() == graphs(tmp_path).keys()


def test_the_sanitizers_have_cases():
    """The selection by -k must not be empty: it names parts of test ids."""
    words = ("f32", "d33", "hub", "duplicates")
    source = (Path(__file__).parent / "ops/op_inputs.py").read_text()
    assert all(word in gpu.SMALL_CASES for word in words)
    assert '"f32"' in source and 'f"d{self.dim}"' in source


def test_a_benchmark_without_the_flags_is_not_run(tmp_path):
    path = tmp_path / "bench_x.py"
    assert gpu.unfit(path) == "there is no benchmarks/bench_x.py"
    path.write_text('add("--json")')
    assert gpu.unfit(path) == "benchmarks/bench_x.py takes no --device"
    path.write_text('add("--json"); add("--device")')
    assert gpu.unfit(path) is None


def test_a_failing_step_does_not_stop_the_others(fake_gpu, tmp_path, capsys):
    result = tmp_path / "figures.json"
    fake_gpu(
        program("good", f"open({str(result)!r}, 'w').write('[1, 2]')", result=result),
        program("bad", "print('no luck'); raise SystemExit(3)"),
        program("silent", "pass", result=tmp_path / "never.json"),
        program("slow", "import time; print('began', flush=True); time.sleep(60)", timeout=2),
        program("absent", "", missing="there is no such tool"),
        gpu.Step("unknown", [str(tmp_path / "no-such-program")]),
        program("env", "import os; assert os.environ['A'] == 'b'", environment={"A": "b"}),
    )
    path = tmp_path / "report.json"
    assert gpu.main(["--json", str(path)]) == 1
    steps = {step["name"]: step for step in json.loads(path.read_text())["steps"]}
    assert steps["good"]["status"] == "passed" and steps["good"]["result"] == [1, 2]
    assert steps["bad"]["status"] == "failed" and steps["bad"]["exit_code"] == 3
    assert "no luck" in steps["bad"]["output_tail"]
    assert steps["silent"]["status"] == "failed" and steps["silent"]["why"] == "it wrote no result"
    assert (
        steps["slow"]["status"] == "stopped after 2 s" and "began" in steps["slow"]["output_tail"]
    )
    assert (
        steps["absent"] | {"status": "not run", "why": "there is no such tool"} == steps["absent"]
    )
    assert steps["unknown"]["status"] == "failed"
    assert steps["env"]["status"] == "passed"
    error = capsys.readouterr().err
    assert error == "benchmarks.gpu: did not pass: bad, silent, slow, absent, unknown\n"


def test_all_passed_is_status_zero_and_named_by_card(fake_gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    fake_gpu(program("good", "pass"))
    assert gpu.main([]) == 0
    (path,) = (tmp_path / "benchmarks/results/gpu").iterdir()
    assert path.name.startswith("nvidia-x100-") and path.suffix == ".json"


def test_steps_are_chosen_by_name(fake_gpu, tmp_path, capsys):
    fake_gpu(program("one", "pass"), program("two a", "pass"), program("two b", "pass"))
    path = tmp_path / "report.json"
    gpu.main(["--only", "two", "--skip", "two b", "--json", str(path)])
    assert [step["name"] for step in json.loads(path.read_text())["steps"]] == ["two a"]
    with pytest.raises(SystemExit):
        gpu.main(["--only", "three"])
    assert "there is no step 'three'; there are one, two a, two b" in capsys.readouterr().err


def test_file_names():
    day = datetime(2026, 1, 31, 18, 5, 9, tzinfo=timezone.utc)
    assert (
        gpu.file_name("NVIDIA H100 80GB HBM3", day)
        == "nvidia-h100-80gb-hbm3-2026-01-31-180509.json"
    )
