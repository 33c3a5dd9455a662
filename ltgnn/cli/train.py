"""`ltgnn train`: train a model, evaluate it, save it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]

from ltgnn.cli.common import add_threads, parse_numbers, print_metrics, use_threads
from ltgnn.cli.recommend import print_recommendations, recommend
from ltgnn.data import read, synthetic
from ltgnn.models import MODELS
from ltgnn.models.base import config_from_dict
from ltgnn.training import TrainConfig
from ltgnn.training import experiment as experiments
from ltgnn.training.experiment import Experiment, open_run
from ltgnn.training.memory import available_bytes, estimate
from ltgnn.training.presets import Preset, find_preset, list_presets
from ltgnn.training.run_dir import write_json

HELP = "train a model on files or on the built-in data, evaluate it, save it"


def build_parser(preset: Preset | None = None) -> ArgumentParser:
    """Flags of the command; each model's settings are in a group of the model's name.

    Args:
        preset: its values become the defaults, so that flags and config files override it.
    """
    parser = ArgumentParser(description=HELP)
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file with any of these")
    parser.add_argument(
        "--data",
        type=str | None,
        default=None,
        help="file, folder or block store (read block by block); none: built-in",
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="ltgnn")
    parser.add_argument("--preset", type=str | None, default=None, metavar="NAME",
                        help=f"named settings of the model, which other flags override ({list_presets()}); "
                        "`ltgnn presets` says what is in them")  # fmt: skip
    parser.add_argument(
        "--out", type=str | None, default=None, help="run folder; none: under runs/"
    )
    parser.add_argument(
        "--overwrite", type=bool, default=False, help="discard a run that is in --out"
    )
    parser.add_argument("--resume", type=str | None, default=None, metavar="RUN",
                        help="go on with an interrupted run; all else comes from it")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the result here too")
    parser.add_argument("--estimate", type=bool, default=False,
                        help="only tell how much memory the run would take")  # fmt: skip
    parser.add_argument("--progress", type=bool, default=True, help="show progress bars")
    add_threads(parser)
    parser.add_class_arguments(TrainConfig)
    parser.add_class_arguments(
        Experiment, skip={"data", "data_options", "model", "settings", "train", "ks"}
    )
    parser.add_argument("--ks", type=str, default="5,10,20,50", help="cut-offs of the metrics")
    parser.add_function_arguments(read, "read", skip={"path", "progress"})
    parser.add_function_arguments(synthetic, "synthetic")
    for name, model in MODELS.items():
        parser.add_class_arguments(model.config_type, name)
    if preset is not None:
        parser.set_defaults(preset.flags())
    return parser


def preset_of(args: Namespace) -> Preset | None:
    """The preset that is asked for; ValueError where the model has none of that name."""
    return None if args.preset is None else find_preset(args.model, args.preset)


def run_folder(args: Namespace) -> Path:
    """--out, or a new folder under runs/ that tells data and model."""
    if args.out is not None:
        return Path(args.out)
    data = Path(args.data).name.partition(".")[0] if args.data else "synthetic"
    return Path("runs") / f"{data}-{args.model}-{time.strftime('%Y%m%d-%H%M%S')}"


def experiment_of(args: Namespace) -> Experiment:
    """What the flags ask for."""
    fields = TrainConfig.__dataclass_fields__
    return Experiment(
        data=args.data,
        data_options=dict(
            (args.synthetic if args.data in (None, "synthetic") else args.read).as_dict()
        ),
        model=args.model,
        settings=args[args.model].as_dict(),
        train=TrainConfig(**{name: args[name] for name in fields}),
        protocol=args.protocol,
        valid_fraction=args.valid_fraction,
        eval_users=args.eval_users,
        tables=args.tables,
        memory=args.memory,
        ks=parse_numbers("--ks", args.ks),
    )


def run_command(args: Namespace) -> tuple[Path, dict[str, Any]]:
    """Do the run, or take it up again."""
    if args.resume is not None:
        return Path(args.resume), experiments.resume(args.resume, progress=args.progress)
    folder = run_folder(args)
    experiment = experiment_of(args)
    return folder, experiments.run(
        experiment, folder, overwrite=args.overwrite, progress=args.progress
    )


def report(folder: Path, result: dict[str, Any]) -> None:
    """What a person wants to see at the end."""
    experiment, data = open_run(folder)
    print(data.describe())
    took = (
        f"fitted in {result['fit_seconds']:.1f} s, scored in {result['eval_seconds']:.1f} s ("
        if "fit_seconds" in result
        else f"{result['epochs']} epochs in {result['train_seconds']:.1f} s "
        f"({result['seconds_per_epoch']:.2f} s each, "
    )
    print(
        f"{result['model']}: {took}{result['threads']} threads), "
        f"peak memory {result['peak_rss_mb']:.0f} MB"
    )
    if f"recall@{experiment.ks[0]}" in result:
        users = f"{result['num_users_evaluated']:,.0f} users"
        sample = f", a sample of {users}" if experiment.eval_users else ""
        print(f"test, epoch {result['best_epoch']} ({result['protocol_meaning']}{sample}):")
        print_metrics(result, experiment.ks)
    print_recommendations(recommend(folder, None, 5))
    print(f"saved in {folder}")


def print_estimate(experiment: Experiment, *, progress: bool = False) -> None:
    """How much memory the run would take, and how much there is."""
    data, _ = experiments.open_data(experiment, progress=progress)
    model = MODELS[experiment.model]
    config = config_from_dict(model.config_type, experiment.settings)
    print(data.describe())
    print(f"{experiment.model}, dim {config.dim}, tables in {experiment.tables}:")
    needed = estimate(
        data, model, config, experiment.train, experiment.tables, experiment.eval_users
    )
    print(needed.table())
    print(f"available: {available_bytes() / 1e9:.2f} GB")


def run(args: Namespace) -> None:
    """The command."""
    use_threads(args)
    if args.estimate:
        return print_estimate(experiment_of(args), progress=args.progress)
    folder, result = run_command(args)
    if args.json is not None:
        write_json(Path(args.json), result)
    report(folder, result)
