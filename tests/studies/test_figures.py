"""Figures and tables, computed by hand."""

from __future__ import annotations

import csv
import io
import math

import pytest
from studies.study_tools import epoch, pretend_finished, small_experiment, study_run

from ltgnn.studies import StudyConfig
from ltgnn.studies.ablation import RunOutcome, finished_or_missing
from ltgnn.studies.figures import curve, seconds_to, spread, table
from ltgnn.studies.tables import csv_text, figure, markdown, notes, title


def test_spread_is_of_a_sample():
    found = spread([2.0, 4.0, 9.0])
    assert found is not None
    assert found["mean"] == 5.0  # deviations -3, -1, 4: 26 / 2
    assert found["std"] == pytest.approx(math.sqrt(13.0), rel=1e-15)
    assert found["values"] == [2.0, 4.0, 9.0]
    assert spread([7.0]) == {"mean": 7.0, "std": None, "values": [7.0]}
    assert spread([]) is None


def test_seconds_to_a_level_counts_training_up_to_the_evaluation():
    records = [
        epoch(1, 1.0),
        epoch(2, 2.0, 0.14),
        epoch(3, 4.0),
        epoch(4, 8.0, 0.16),
        epoch(5, 16.0, 0.1),
    ]
    assert seconds_to(records, "recall@20", 0.14) == 3.0
    assert seconds_to(records, "recall@20", 0.15) == 15.0
    assert seconds_to(records, "recall@20", 0.17) is None
    assert seconds_to(records, "ndcg@20", 0.1) is None
    assert seconds_to([], "recall@20", 0.1) is None


def test_a_curve_has_the_epochs_that_all_runs_were_evaluated_at():
    one = [epoch(1, 1.0), epoch(2, 1.0, 0.10), epoch(3, 1.0), epoch(4, 1.0, 0.20)]
    two = [epoch(1, 3.0), epoch(2, 3.0, 0.30)]
    assert curve([one, two], "recall@20") == [
        {"epoch": 2, "seconds": 4.0, "mean": 0.2, "low": 0.1, "high": 0.3}
    ]
    assert curve([one], "recall@20")[-1] == {
        "epoch": 4, "seconds": 4.0, "mean": 0.2, "low": 0.2, "high": 0.2,
    }  # fmt: skip


@pytest.fixture
def study(tmp_path):
    """Two cells: one with two seeds of both protocols, one of whose runs all failed but one.

    Cell a, test: recall .10 and .14, reaching .12 after - and 5 s. Cell b: seed 0 alone, recall .2.
    """
    config = StudyConfig(
        seeds=[0, 1], protocols=["test", "validation"], metrics=["recall@20"], levels=[0.12]
    )
    runs = {}
    for name, model in (("a", "ltgnn"), ("b", "mf")):
        for protocol in config.protocols:
            for seed in config.seeds:
                experiment = small_experiment(model=model, protocol=protocol, train={"seed": seed})
                runs[name, protocol, seed] = study_run(tmp_path, experiment, name)
    records = {
        0: [epoch(1, 2.0, 0.10), epoch(2, 4.0, 0.09)],
        1: [epoch(1, 2.0, 0.11), epoch(2, 3.0, 0.14)],
    }
    for seed, recall, honest, peak in ((0, 0.10, 0.08, 100.0), (1, 0.14, 0.09, 300.0)):
        values = {"recall@20": recall, "ndcg@20": recall / 2, "valid_recall@20": 0.5}
        pretend_finished(runs["a", "test", seed], records[seed], peak_rss_mb=peak, **values)
        values |= {"recall@20": honest}
        pretend_finished(runs["a", "validation", seed], records[seed], **values)
    pretend_finished(runs["b", "test", 0], [epoch(1, 1.0, 0.2)], **{"recall@20": 0.2})
    return config, finished_or_missing(list(runs.values()))


def test_the_table_by_hand(study):
    config, outcomes = study
    found = table(config, outcomes, name="by-hand")
    assert [row["name"] for row in found["rows"]] == ["a", "b"]
    a, b = (row["protocols"]["test"] for row in found["rows"])
    assert (a["runs"], a["failed"], a["seeds"]) == (2, 0, [0, 1])
    recall = a["metrics"]["recall@20"]
    assert recall["mean"] == pytest.approx(0.12) and recall["std"] == pytest.approx(
        0.04 / math.sqrt(2)
    )
    assert a["metrics"]["ndcg@20"]["mean"] == pytest.approx(0.06)
    assert "valid_recall@20" not in a["metrics"]
    assert a["seconds_per_epoch"]["values"] == [3.0, 2.5] and a["train_seconds"]["mean"] == 5.5
    assert a["peak_mb"]["mean"] == 200.0
    assert a["seconds_to"] == {
        "0.12": {"reached": 1, "seconds": {"mean": 5.0, "std": None, "values": [5.0]}}
    }
    assert (b["runs"], b["failed"]) == (1, 1) and b["metrics"]["recall@20"]["std"] is None
    honest = found["rows"][0]["protocols"]["validation"]["metrics"]["recall@20"]
    assert honest["mean"] == pytest.approx(0.085)
    nothing = found["rows"][1]["protocols"]["validation"]
    assert (nothing["runs"], nothing["failed"], nothing["curve"]) == (0, 2, [])
    assert [(f["name"], f["protocol"], f["seed"]) for f in found["failures"]] == [
        ("b", "test", 1), ("b", "validation", 0), ("b", "validation", 1),
    ]  # fmt: skip
    assert found["dataset"] == "made-up" and found["num_train"] == [5]


def test_markdown_by_hand(study):
    config, outcomes = study
    found = table(config, outcomes, name="by-hand")
    assert markdown(found).splitlines() == [
        "|  | Recall@20, best on test | Recall@20, chosen on validation | s/epoch | s to Recall@20 .120 "
        "| peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | .1200 ± .0283 | .0850 ± .0071 | 2.75 ± 0.35 | 5.00 (1 of 2) | 0.21 GB |",
        "| b (3 of 4 runs failed) | .2000 | – | 1.00 | 1.00 | 0.10 GB |",
    ]
    text = notes(found)
    assert "mean ± standard deviation of 2 seeds" in text and "held out of train" in text


def test_csv_by_hand(study):
    config, outcomes = study
    lines = list(csv.DictReader(io.StringIO(csv_text(table(config, outcomes, name="by-hand")))))
    assert [(line["name"], line["protocol"], line["runs"]) for line in lines] == [
        ("a", "test", "2"), ("a", "validation", "2"), ("b", "test", "1"), ("b", "validation", "0"),
    ]  # fmt: skip
    assert float(lines[0]["recall@20 mean"]) == pytest.approx(0.12)
    assert lines[2]["recall@20 std"] == "" and lines[3]["recall@20 mean"] == ""
    assert lines[0]["seconds to 0.12 reached"] == "1"
    assert float(lines[0]["seconds to 0.12 mean"]) == 5.0


def test_auto_is_shown_as_what_it_came_to(tmp_path):
    runs = [
        study_run(tmp_path, small_experiment(protocol="auto", train={"seed": seed}))
        for seed in (0, 1)
    ]
    pretend_finished(runs[0], [epoch(1, 1.0, 0.2)], protocol="test", **{"recall@20": 0.2})
    outcomes = [RunOutcome(runs[0], None), RunOutcome(runs[1], "broken")]
    found = table(StudyConfig(seeds=[0, 1]), outcomes, name="auto")
    figures = found["rows"][0]["protocols"]
    assert list(figures) == ["test"] and (figures["test"]["runs"], figures["test"]["failed"]) == (
        1,
        1,
    )


def test_a_table_of_nothing_is_a_table(tmp_path):
    runs = [study_run(tmp_path, small_experiment(), "lonely")]
    found = table(StudyConfig(levels=[0.1]), finished_or_missing(runs), name="none")
    assert "| lonely (1 of 1 runs failed) | – | – | – | – | – |" in markdown(found)
    assert found["failures"][0]["error"] == "not finished yet (new)"
    assert csv_text(found).count("\n") == 2 and notes(found)


def test_how_figures_are_written():
    assert (figure(0.1, 4), figure(-0.5, 2), figure(12.0, 3)) == (".1000", "-0.50", "12.000")
    assert title("hit_rate@5") == "Hit_rate@5" and title("mrr@20") == "MRR@20"
