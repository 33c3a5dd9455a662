"""`ltgnn tune`: search for settings on a validation split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli import train
from ltgnn.cli.common import add_threads
from ltgnn.cli.study import arguments_of, epoch_text, maker, read_study
from ltgnn.studies import StudyError
from ltgnn.studies.ablation import locked
from ltgnn.studies.search import Pruner, Search, Trial
from ltgnn.training.run_dir import write_json

HELP = "search for settings on a validation split (needs optuna)"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("study", type=str, help="YAML: base and space")
    parser.add_argument("--out", type=str, required=True,
                        help="the search's folder; one that is there is gone on with")  # fmt: skip
    parser.add_argument("--trials", type=int, default=20, help="in all, with those that are there")
    parser.add_argument("--data", type=str | None, default=None, help="instead of the base's data")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the proposals; the base's is training's"
    )
    parser.add_argument("--pruner", type=Pruner, default="median",
                        help="which trials end early, by their value at an epoch")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the result here, too")
    parser.add_argument("--progress", type=bool, default=True, help="print each epoch")
    add_threads(parser)
    return parser


def show(trial: Trial) -> None:
    """One line of a trial that has ended."""
    value = "" if trial.value is None else f" {trial.value:.4f}"
    reason = f": {trial.error}" if trial.error else f" after {len(trial.values)} evaluations"
    print(f"trial {trial.number}: {trial.state}{value}{reason}", flush=True)


def show_start(trial: Trial) -> None:
    """One line of a trial that begins."""
    settings = ", ".join(f"{key} {value}" for key, value in trial.params.items())
    print(f"trial {trial.number}: {settings}", flush=True)


def epoch_printer(metric: str) -> Callable[[dict[str, Any]], None]:
    """Prints one line of an epoch, with its value on validation."""

    def show_epoch(record: dict[str, Any]) -> None:
        parts = [epoch_text(record)]
        if metric in record.get("valid", {}):
            parts.append(f"{metric} {record['valid'][metric]:.4f}")
        print("    " + ", ".join(parts), flush=True)

    return show_epoch


def run(args: Namespace) -> None:
    """The command.

    Raises:
        StudyError: no trial is complete.
    """
    if args.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {args.trials}")
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    config = read_study(args.study)
    base = {**config.base, **({} if args.data is None else {"data": args.data})}
    plain = arguments_of(base, {})  # before anything runs: is the base right?
    folder = Path(args.out)
    search = Search(
        replace(config, base=base), folder, maker(base), seed=args.seed, pruner=args.pruner,
        threads=plain.threads if args.threads is None else args.threads,
    )  # fmt: skip
    with locked(folder):
        search.run(
            args.trials,
            on_start=show_start,
            on_epoch=epoch_printer(plain.monitor) if args.progress else None,
            on_end=show,
        )
        best = search.best()
        result = {
            **search.asked,
            "trials": [{**asdict(trial), "value": trial.value} for trial in search.trials],
            "best": None if best is None else best.number,
        }
        write_json(folder / "result.json", result)
        if best is not None:
            values = train.build_parser().dump(arguments_of(base, best.params))
            (folder / "best.yaml").write_text(values)
    if args.json is not None:
        write_json(Path(args.json), result)
    if best is None:
        raise StudyError(
            f"none of {len(search.trials)} trials is complete: see {folder / 'result.json'}"
        )
    states = [trial.state for trial in search.trials]
    print(", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)))
    print(f"best: trial {best.number}, {plain.monitor} {best.value:.4f} on validation, "
          f"{best.test.get(plain.monitor, float('nan')):.4f} on test at that epoch")  # fmt: skip
    print(f"ltgnn train --config {folder / 'best.yaml'}")
