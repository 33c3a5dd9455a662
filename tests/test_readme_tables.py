"""The README's accuracy tables are what the ablations' JSON says."""

from __future__ import annotations

import json

import pytest

from build_tools import readme_tables
from build_tools.readme_tables import BEGIN, END, README, RESULTS, load_tables, replaced, section


def test_the_readme_is_what_the_results_say():
    tables = load_tables(RESULTS)
    assert tables, "there is no benchmarks/results/ablation-*.json"
    text = README.read_text()
    assert replaced(text, section(tables)) == text
    for table in tables:
        assert all(f"| {row['name']}" in text for row in table["rows"])


def test_a_changed_figure_is_noticed_and_written(tmp_path, monkeypatch, capsys):
    results, readme = tmp_path / "results", tmp_path / "README.md"
    results.mkdir()
    (table,) = load_tables(RESULTS)[:1]
    (results / "ablation-one.json").write_text(json.dumps(table))
    readme.write_text(f"before\n{BEGIN}old\n{END}after\n")
    monkeypatch.setattr(readme_tables, "README", readme)
    monkeypatch.setattr(readme_tables, "RESULTS", results)
    assert readme_tables.main([]) == 1 and "--write" in capsys.readouterr().out
    assert readme_tables.main(["--write"]) == 0 and readme_tables.main([]) == 0
    text = readme.read_text()
    assert (
        text.startswith(f"before\n{BEGIN}") and text.endswith(f"{END}after\n") and "old" not in text
    )

    figures = next(iter(table["rows"][0]["protocols"].values()))["metrics"][table["metrics"][0]]
    figures["mean"] += 0.0123
    (results / "ablation-one.json").write_text(json.dumps(table))
    assert readme_tables.main([]) == 1


@pytest.mark.parametrize("text", ["", BEGIN, END, END + BEGIN, BEGIN + BEGIN + END])
def test_missing_markers_are_named(text):
    with pytest.raises(ValueError, match="the README must have"):
        replaced(text, "x")
