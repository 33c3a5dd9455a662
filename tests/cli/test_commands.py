"""The command line, as users type it."""

from __future__ import annotations

import importlib
import json

import pytest

from ltgnn.cli import main

TINY = [
    "--synthetic.num_users", "120", "--synthetic.num_items", "150",
    "--synthetic.num_interactions", "2500", "--epochs", "2",
]  # fmt: skip
RESULT_KEYS = {
    "model", "dataset", "num_users", "num_items", "num_train", "epochs", "recall@20", "ndcg@20",
    "best_epoch", "protocol", "seconds_per_epoch", "train_seconds", "eval_seconds",
    "graph_seconds", "peak_rss_mb", "threads",
}  # fmt: skip


@pytest.fixture
def data_folder(tmp_path):
    """A folder in LightGCN text with train and test."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    train = "".join(
        f"{u} " + " ".join(str((u + 2 * k) % 30) for k in range(8)) + "\n" for u in range(30)
    )
    test = "".join(f"{u} {(u + 16) % 30} {(u + 18) % 30}\n" for u in range(30))
    (folder / "train.txt").write_text(train)
    (folder / "test.txt").write_text(test)
    return folder


@pytest.mark.parametrize("model", ["ltgnn", "lightgcn", "mf", "chebycf"])
def test_train_evaluate_recommend(model, data_folder, tmp_path, capsys):
    run = tmp_path / "run"
    result_file = run / "result.json"
    code = main(["train", "--data", str(data_folder), "--model", model, "--epochs", "3",
                 "--out", str(run), "--json", str(result_file)])  # fmt: skip
    assert code == 0
    result = json.loads(result_file.read_text())
    assert result.keys() >= RESULT_KEYS
    assert (result["model"], result["dataset"]) == (model, "pairs")
    assert result["epochs"] == (1 if model == "chebycf" else 3)  # which is fitted once
    assert (result["num_users"], result["num_items"], result["num_train"]) == (30, 30, 240)
    assert result["protocol"] == "test"
    shown = capsys.readouterr().out
    assert "recall" in shown and "user 2:" in shown

    scores = tmp_path / "scores.json"
    code = main(["evaluate", str(run), "--data", str(data_folder), "--json", str(scores)])
    assert code == 0
    scored = json.loads(scores.read_text())
    assert scored["recall@20"] == result["recall@20"]
    assert scored["epoch"] == result["best_epoch"]

    capsys.readouterr()
    assert main(["recommend", str(run), "--users", "0,1,2", "--k", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["user 0", "user 1", "user 2"]
    items = [int(word) for word in lines[0].split(": ")[1].split()[::2]]
    assert len(items) == 10
    assert not set(items) & {2 * k for k in range(8)}, "a training item was recommended"


def test_train_on_built_in_data_needs_no_flags(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY]) == 0
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 1 and runs[0].name.startswith("synthetic-ltgnn-")
    result = json.loads((runs[0] / "result.json").read_text())
    assert result["protocol"] == "validation"
    assert "valid_recall@20" in result and "best_on_test_recall@20" in result


def test_resume_of_a_finished_run_gives_its_result_again(tmp_path):
    run = tmp_path / "run"
    assert main(["train", *TINY, "--out", str(run)]) == 0
    first = json.loads((run / "result.json").read_text())
    assert main(["train", "--resume", str(run)]) == 0
    second = json.loads((run / "result.json").read_text())
    assert {k: v for k, v in first.items() if "@" in k} == {
        k: v for k, v in second.items() if "@" in k
    }


def test_a_run_is_not_overwritten_unasked(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", *TINY, "--out", str(run)]) == 0
    assert main(["train", *TINY, "--out", str(run)]) == 1
    assert "holds a run" in capsys.readouterr().err
    assert main(["train", *TINY, "--out", str(run), "--overwrite", "true"]) == 0


def test_settings_from_yaml_and_print_config(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--ltgnn.alpha", "0.3", "--print_config"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "alpha: 0.3" in printed
    config = tmp_path / "c.yaml"
    config.write_text("epochs: 1\nmodel: mf\nmf:\n  dim: 8\n")
    run = tmp_path / "run"
    assert main(["train", "--config", str(config), *TINY[:6], "--out", str(run)]) == 0
    result = json.loads((run / "result.json").read_text())
    assert (result["model"], result["settings"]["dim"], result["epochs"]) == ("mf", 8, 1)


def test_external_ids_come_back(tmp_path, capsys):
    table = tmp_path / "likes.csv"
    rows = [f"u{u},song {(u + 3 * k) % 12}" for u in range(12) for k in range(4)]
    table.write_text("user,item\n" + "\n".join(rows) + "\n")
    run = tmp_path / "run"
    assert main(["train", "--data", str(table), "--epochs", "1", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["recommend", str(run), "--users", "u3,u7", "--k", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("user u3: song ") and "\nuser u7: song " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere"], "nowhere"),
        (["train", "--ltgnn.alpha", "7"], "alpha must be in (0, 1], got 7"),
        (["train", "--threads", "0"], "--threads must be at least 1, got 0"),
        (["train", "--ks", "5,x"], "--ks must be numbers with commas"),
        (["train", "--monitor", "recall@7"], "monitor must be at one of ks"),
        (["train", "--resume", "nowhere"], "nowhere holds no run"),
        (["evaluate", "nowhere"], "nowhere holds no run"),
        (["recommend", "nowhere", "--users", "1"], "nowhere holds no run"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as ended:  # refused by the parser itself
        code = ended.code
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_unknown_user_and_wrong_data_are_named(tmp_path, data_folder, capsys):
    run = tmp_path / "run"
    assert main(["train", *TINY, "--out", str(run)]) == 0
    assert main(["recommend", str(run), "--users", "0,nobody"]) == 1
    assert "no user 'nobody'; there are 120 users" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(data_folder)]) == 1
    assert "the data do not fit the run" in capsys.readouterr().err


def test_another_draw_of_the_split_is_refused(tmp_path, capsys):
    table = tmp_path / "likes.csv"
    rows = [f"{u},{(u * u + k * k) % 60}" for u in range(60) for k in range(12)]
    table.write_text("user,item\n" + "\n".join(rows) + "\n")
    run = ["--data", str(table), "--read.seed", "3"]
    assert main(["train", *run, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    trained = json.loads((tmp_path / "run" / "result.json").read_text())
    scores = tmp_path / "new" / "scores.json"
    assert main(["evaluate", str(tmp_path / "run"), *run, "--json", str(scores)]) == 0
    assert json.loads(scores.read_text())["recall@20"] == trained["recall@20"]
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), *run[:2]]) == 1
    error = capsys.readouterr().err
    assert "test interactions are in the run's train or validation part" in error
    assert "--read.seed" in error and "Traceback" not in error
    assert main(["evaluate", str(tmp_path / "run"), "--eval_users", "-5"]) == 1
    assert "eval_users must not be negative, got -5" in capsys.readouterr().err


def test_known_pairs_in_a_test_file_are_told(data_folder, tmp_path, capsys):
    assert (
        main(["train", "--data", str(data_folder), "--epochs", "1", "--out", str(tmp_path / "run")])
        == 0
    )
    (data_folder / "test.txt").write_text("0 0 16\n1 17\n")
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data_folder)]) == 0
    assert "note: 1 of 3 test interactions are in the run's train" in capsys.readouterr().err


def test_recommendations_go_to_a_new_folder(tmp_path, capsys):
    run, file = tmp_path / "run", tmp_path / "new" / "r.json"
    assert main(["train", "--data", "synthetic", *TINY, "--out", str(run)]) == 0
    assert main(["recommend", str(run), "--users", "1", "--k", "2", "--json", str(file)]) == 0
    assert len(json.loads(file.read_text())["recommendations"][0]["items"]) == 2


def test_doctor_says_what_is_used_and_why_not(capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for word in ("ltgnn._C ", "ltgnn._C_cuda", "instruction set", "threads", "torch", "cuda"):
        assert word in shown


def test_convert_info_and_train_on_a_store(data_folder, tmp_path, capsys):
    store, figures = tmp_path / "pairs.store", tmp_path / "convert.json"
    assert main(["convert", str(data_folder), str(store), "--json", str(figures)]) == 0
    shown = capsys.readouterr().out
    assert "pairs: 30 users, 30 items; train 240, test 60; split: given" in shown
    assert "interactions a second" in shown
    assert json.loads(figures.read_text())["num_train"] == 240

    picture, facts = tmp_path / "degrees.svg", tmp_path / "info.json"
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    command = ["info", str(store), "--verify", "true", "--plot", str(picture), "--json", str(facts)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "sparsity 66.666667 %" in shown and "every block is intact" in shown
    assert "by user: 8.0 items on average" in shown and "8-15 items            30 ####" in shown
    assert picture.read_text().startswith("<?xml")
    assert json.loads(facts.read_text())["degrees"]["item"]["histogram"] == [0, 0, 0, 0, 30]

    results = []
    for data in (data_folder, store):  # the same data, hence the same model
        run = tmp_path / f"run-{data.name}"
        command = [
            "train",
            "--data",
            str(data),
            "--model",
            "mf",
            "--epochs",
            "2",
            "--out",
            str(run),
        ]
        assert main(command) == 0
        results.append(json.loads((run / "result.json").read_text()))
    assert results[0]["protocol"] == results[1]["protocol"] == "test"
    assert results[0]["num_train"] == results[1]["num_train"]
    scores = tmp_path / "scores.json"
    assert (
        main(["evaluate", str(tmp_path / "run-pairs"), "--data", str(store), "--json", str(scores)])
        == 0
    )
    assert json.loads(scores.read_text())["recall@20"] == results[0]["recall@20"]


def test_convert_options_from_the_command_line(tmp_path, capsys):
    rows = tmp_path / "rows.libfm"
    rows.write_text("1 120:1 7:1\n-1 121:1 7:1\n1 8:1 121:1\n")
    store = tmp_path / "s"
    columns = '{"user": "0-99", "item": "100-199"}'
    command = ["convert", str(rows), str(store), "--columns", columns, "--split", "none"]
    assert main([*command, "--memory", "2GB"]) == 0
    assert (
        "2 users, 2 items; train 2 (1 left out for the label); split: none"
        in capsys.readouterr().out
    )
    assert main(command) == 1
    assert "exists: choose another name, or overwrite it" in capsys.readouterr().err
    assert main([*command, "--overwrite", "true", "--memory", "1MB"]) == 1
    assert "memory: expected at least" in capsys.readouterr().err
    assert main(["info", str(rows)]) == 1
    assert "expected a block store, got" in capsys.readouterr().err


def test_info_without_matplotlib_names_the_extra(data_folder, tmp_path, capsys, monkeypatch):
    assert main(["convert", str(data_folder), str(tmp_path / "s")]) == 0
    true_import = importlib.import_module

    def without(name, package=None):
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return true_import(name, package)

    monkeypatch.setattr("importlib.import_module", without)
    assert main(["info", str(tmp_path / "s"), "--plot", str(tmp_path / "x.png")]) == 1
    assert 'pip install "ltgnn[plot]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "text"),
    [("convert", "folder for scratch files"), ("train", "score a seeded sample of so many users")],
)
def test_help_has_the_text_of_the_docstrings(command, text, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert text in " ".join(capsys.readouterr().out.split())
