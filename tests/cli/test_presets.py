"""`ltgnn presets` and `ltgnn train --preset`, as users type them."""

from __future__ import annotations

import json

import pytest

from ltgnn.cli import main
from ltgnn.cli.main import parse
from ltgnn.training.presets import PRESETS


def settings(words):
    return parse(["train", *words]).train


def test_a_preset_sets_model_and_training():
    args = settings(["--preset", "authors"])
    assert (args.ltgnn.alpha, args.ltgnn.fanout, args.sampling) == (0.45, 15, "users")
    plain = settings([])
    assert (plain.ltgnn.alpha, plain.ltgnn.fanout, plain.sampling) == (0.55, 4, "interactions")


@pytest.mark.parametrize("order", [1, -1])
def test_flags_override_a_preset_wherever_they_stand(order):
    pairs = [("--preset", "authors"), ("--ltgnn.alpha", "0.3"), ("--epochs", "7")][::order]
    args = settings([word for pair in pairs for word in pair])
    assert (args.ltgnn.alpha, args.epochs, args.ltgnn.c0) == (0.3, 7, 0.2)


def test_a_config_file_may_name_a_preset_and_override_it(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("model: ultragcn\npreset: amazon-book\nultragcn:\n  lr: 0.005\n")
    args = settings(["--config", str(path)])
    assert (args.ultragcn.neighbor_weight, args.ultragcn.lr, args.batch_size) == (2.75, 0.005, 1024)


def test_print_config_shows_the_presets_values_and_reads_them_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(["train", "--preset", "authors", "--print_config"])
    assert ended.value.code == 0
    path = tmp_path / "config.yaml"
    path.write_text(capsys.readouterr().out)
    assert settings(["--config", str(path)]).ltgnn.alpha == 0.45


def test_an_unknown_preset_says_what_there_is(capsys):
    assert main(["train", "--preset", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert "ltgnn train: error: model ltgnn has no preset 'nowhere'" in error
    assert "ngcf: gowalla, amazon-book" in error


def test_help_names_them(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "authors" in capsys.readouterr().out


def test_presets_are_listed_with_their_sources(tmp_path, capsys):
    path = tmp_path / "deep" / "presets.json"
    assert main(["presets", "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    for preset in PRESETS:
        assert f"--model {preset.model} --preset {preset.name}: {preset.source}" in shown
    assert len(json.loads(path.read_text())["presets"]) == len(PRESETS)
    assert main(["presets", "--model", "mf"]) == 0
    assert capsys.readouterr().out == "mf has no presets\n"


def test_what_is_listed_is_what_the_flags_say(capsys):
    """The printed flags give the settings that the preset gives."""
    assert main(["presets", "--model", "ngcf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = lines.index(next(line for line in lines if line.startswith("    --")))
    words = []
    for line in lines[first:]:
        if not line.startswith("    --"):
            break
        words += line.split()
    by_flags = settings(["--model", "ngcf", *words])
    by_name = settings(["--model", "ngcf", "--preset", "gowalla"])
    assert by_flags.ngcf == by_name.ngcf and by_flags.batch_size == by_name.batch_size


def test_training_with_a_preset(tmp_path):
    run = tmp_path / "run"
    code = main(["train", "--preset", "authors", "--epochs", "1", "--out", str(run), "--progress", "false",
                 "--synthetic.num_users", "60", "--synthetic.num_items", "80",
                 "--synthetic.num_interactions", "1200"])  # fmt: skip
    assert code == 0
    result = json.loads((run / "result.json").read_text())
    assert result["settings"]["alpha"] == 0.45 and result["epochs"] == 1
