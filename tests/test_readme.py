"""The README's examples run as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ltgnn.cli import main
from ltgnn.data import BlockStore

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_first_two_blocks_install_and_run():
    fences = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
    (_, first), (_, second) = fences[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert first.endswith("pip install . && ltgnn train\n")
    assert "pip install" in second and " && pytest " in second


def test_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = blocks("python")
    assert len(examples) >= 2
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)


def console_lines() -> list[str]:
    """Commands of our own, where they need no data that a reader must bring."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("ltgnn ") and " DIR" not in line]


def test_commands_run(tmp_path, monkeypatch):
    """In order, in one folder, since the later ones use what the earlier ones made."""
    pytest.importorskip("optuna", reason="optuna is not installed")
    monkeypatch.chdir(tmp_path)
    for block in blocks("yaml"):  # the files that the README shows, named by their first lines
        Path(block.splitlines()[0].removeprefix("# ")).write_text(block)
    for line in console_lines():
        arguments = shlex.split(line, comments=True)[1:]
        if arguments[0] == "train" and "--resume" not in arguments and "--epochs" not in arguments:
            arguments += ["--epochs", "2"]  # the whole default run is the first block's business
        if arguments[0] == "ablate":
            # Reads and checks the study; cli/test_ablate.py runs some.
            arguments += ["--dry_run", "true"]
        if arguments[0] == "tune":
            arguments += ["--trials", "1"]
        assert main(arguments) == 0, line


def test_columns_are_chosen_as_it_says(tmp_path, capsys):
    (line,) = (line for block in blocks("sh") for line in block.splitlines() if ".columns." in line)
    (tmp_path / "log.csv").write_text(
        "when,who,rating,what\n" + "".join(f"{k},u{k % 7},5,{k * k % 40}\n" for k in range(90))
    )
    command = shlex.split(line.replace("DIR", str(tmp_path)), comments=True)[1:]
    assert main([*command, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    items = len({k * k % 40 for k in range(90)})
    assert f"log.csv: 7 users, {items} items" in capsys.readouterr().out
    chosen = [word.replace("--read.", "--") for word in command[3:]]
    assert main(["convert", command[2], str(tmp_path / "store"), *chosen]) == 0
    with BlockStore(tmp_path / "store") as store:
        assert (store.num_users, store.num_items) == (7, items)
