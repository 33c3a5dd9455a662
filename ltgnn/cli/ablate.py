"""`ltgnn ablate`: a grid of experiments with several seeds, and a table of what they come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from ltgnn.cli.common import add_threads
from ltgnn.cli.study import arguments_of, epoch_text, maker, read_study
from ltgnn.studies import StudyError
from ltgnn.studies.ablation import RunOutcome, finished_or_missing, locked, plan, run_all
from ltgnn.studies.config import StudyConfig
from ltgnn.studies.figures import table
from ltgnn.studies.plots import load_matplotlib, plot
from ltgnn.studies.run_folder import StudyRun
from ltgnn.studies.tables import csv_text, markdown, notes
from ltgnn.training.run_dir import write_json

HELP = "run a grid of experiments with several seeds, and make tables and plots of them"


def build_parser() -> ArgumentParser:
    """Flags of the command."""
    parser = ArgumentParser(description=HELP)
    parser.add_argument("study", type=str, help="YAML: base, grid, variants, seeds, protocols, ...")
    parser.add_argument("--out", type=str, required=True,
                        help="the study's folder; one that is there is gone on with")  # fmt: skip
    parser.add_argument("--data", type=str | None, default=None, help="instead of the base's data")
    parser.add_argument("--plot", type=Literal["svg", "png", "pdf"] | None, default=None,
                        help="draw accuracy against training time and against memory, as such files")  # fmt: skip
    parser.add_argument("--json", type=str | None, default=None, help="write the table here, too")
    parser.add_argument("--dry_run", type=bool, default=False,
                        help="run nothing: list the runs, and make tables of the finished ones")  # fmt: skip
    parser.add_argument("--progress", type=bool, default=True, help="print each epoch")
    add_threads(parser)
    return parser


class Printer:
    """Tells a person what happens."""

    def __init__(self, total: int, metric: str | None) -> None:
        self.total = total
        self.metric = metric  # shown after each epoch; None: nothing is

    def start(self, place: int, run: StudyRun) -> None:
        """A run begins, or is taken up."""
        again = " (goes on)" if run.state() == "interrupted" else ""
        print(f"[{place + 1}/{self.total}] {describe(run)}{again}", flush=True)

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch has ended."""
        if self.metric is None:
            return
        parts = [epoch_text(record)]
        for split in ("valid", "test"):
            if self.metric in record.get(split, {}):
                parts.append(f"{split} {self.metric} {record[split][self.metric]:.4f}")
        print("    " + ", ".join(parts), flush=True)

    def end(self, place: int, outcome: RunOutcome) -> None:
        """A run has ended, or was finished before."""
        if outcome.error is not None:
            print(
                f"[{place + 1}/{self.total}] {describe(outcome.run)}: failed: {outcome.error}",
                flush=True,
            )


def describe(run: StudyRun) -> str:
    """A run in a few words."""
    return f"{run.cell.name}, {run.experiment.protocol}, seed {run.experiment.train.seed}"


def write_tables(
    config: StudyConfig, outcomes: list[RunOutcome], folder: Path, name: str
) -> dict[str, Any]:
    """Put table.json, table.csv and table.md into the study's folder."""
    found = table(config, outcomes, name=name)
    write_json(folder / "table.json", found)
    (folder / "table.csv").write_text(csv_text(found))
    (folder / "table.md").write_text(f"{markdown(found)}\n{notes(found)}\n")
    return found


def run(args: Namespace) -> None:
    """The command.

    Raises:
        StudyError: some runs failed; the tables of the others are written.
    """
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    config = read_study(args.study)
    base = {**config.base, **({} if args.data is None else {"data": args.data})}
    folder, name = Path(args.out), Path(args.study).stem
    runs = plan(config, folder, maker(base))
    if args.plot is not None:
        load_matplotlib()  # before hours of training
    threads = args.threads if args.threads is not None else arguments_of(base, {}).threads
    with locked(folder):
        if args.dry_run:
            outcomes = finished_or_missing(runs)
            for outcome in outcomes:
                print(f"{describe(outcome.run)}: {outcome.error or 'finished'}")
        else:
            printer = Printer(len(runs), config.metrics[0] if args.progress else None)
            outcomes = run_all(
                runs, threads=threads, on_start=printer.start, on_epoch=printer.epoch, on_end=printer.end,
            )  # fmt: skip
        found = write_tables(config, outcomes, folder, name)
        paths = plot(found, folder, args.plot) if args.plot is not None else []
    print((folder / "table.md").read_text(), end="")
    if args.json is not None:
        write_json(Path(args.json), found)
    print(f"tables in {folder}" + "".join(f", {path.name}" for path in paths))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed and not args.dry_run:
        raise StudyError(
            f"{len(failed)} of {len(runs)} runs failed, the first with: {failed[0].error}; "
            f"{folder / 'table.json'} has all of them, and the same command tries them again"
        )
