"""An ablation's figures as text: markdown for people, CSV for other programs."""

from __future__ import annotations

import csv
import io
from typing import Any

SHORT = {"test": "best on test", "validation": "chosen on validation", "last": "last epoch"}
NONE = "–"


def markdown(table: dict[str, Any]) -> str:
    """A row for each cell; the metrics of every protocol side by side, mean ± standard deviation over the seeds.

    Seconds and memory are those of the first protocol that the cell was run with. A cell of which some runs failed
    says so beside its name.

    Args:
        table: what `studies.figures.table` gives.
    """
    metrics, protocols = table["metrics"], list(table["protocols"])
    head = [""]
    head += [f"{title(name)}, {SHORT.get(p, p)}" for p in protocols for name in metrics]
    head += [
        "s/epoch",
        *(f"s to {title(metrics[0])} {figure(level, 3)}" for level in table["levels"]),
    ]
    head += ["peak memory"]
    lines = [head, ["---"] * len(head)]
    for row in table["rows"]:
        by_protocol = row["protocols"]
        timed = next(
            (by_protocol[p] for p in protocols if by_protocol.get(p, {}).get("runs")), None
        )
        cells = [row["name"] + _failed(by_protocol)]
        for protocol in protocols:
            figures = by_protocol.get(protocol, {"metrics": {}})
            cells += [with_spread(figures["metrics"].get(name), 4) for name in metrics]
        cells.append(seconds(timed and timed["seconds_per_epoch"]))
        cells += [_seconds_to(timed, f"{level:g}") for level in table["levels"]]
        cells.append(f"{timed['peak_mb']['mean'] * 2**20 / 1e9:.2f} GB" if timed else NONE)
        lines.append(cells)
    return "".join("| " + " | ".join(_escape(cell) for cell in line) + " |\n" for line in lines)


def csv_text(table: dict[str, Any]) -> str:
    """A line for each cell and protocol, with all metrics that were computed; empty where there is nothing."""
    names = list(dict.fromkeys(
        name for row in table["rows"] for figures in row["protocols"].values() for name in figures["metrics"]
    ))  # fmt: skip
    measured = ("seconds_per_epoch", "train_seconds", "peak_mb")
    head = ["name", "model", "protocol", "runs", "failed"]
    head += [f"{name} {part}" for name in (*names, *measured) for part in ("mean", "std")]
    for level in table["levels"]:
        head += [f"seconds to {level:g} {part}" for part in ("reached", "mean", "std")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in table["rows"]:
        for protocol, figures in row["protocols"].items():
            line = [row["name"], row["model"], protocol, figures["runs"], figures["failed"]]
            for name in names:
                line += _mean_and_std(figures["metrics"].get(name))
            for name in measured:
                line += _mean_and_std(figures[name])
            for level in table["levels"]:
                found = figures["seconds_to"][f"{level:g}"]
                line += [found["reached"], *_mean_and_std(found["seconds"])]
            writer.writerow(line)
    return out.getvalue()


def notes(table: dict[str, Any]) -> str:
    """What the table's figures mean, in sentences."""
    seeds, machine = table["seeds"], table["machine"]
    threads = ", ".join(str(count) for count in machine["threads"]) or "?"
    spread = f"mean ± standard deviation of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    meanings = "; ".join(f"{SHORT.get(p, p)}: {text}" for p, text in table["protocols"].items())
    return (
        f"{table['dataset']}, {spread}; {meanings}. Seconds are of training without evaluation, on {threads} "
        f"thread(s) of {machine['cpu']}, torch {machine['torch']}; each run is a process of its own, and its peak "
        "memory includes what importing takes."
    )


def title(metric: str) -> str:
    """`recall@20` as people write it.

    Example:
        >>> from ltgnn.studies.tables import title
        >>> title("recall@20"), title("ndcg@10")
        ('Recall@20', 'NDCG@10')
    """
    name, at, cut = metric.partition("@")
    return (name.upper() if name in ("ndcg", "mrr", "map") else name.capitalize()) + at + cut


def figure(value: float, digits: int) -> str:
    """A share without its leading zero, as the field writes it.

    Example:
        >>> from ltgnn.studies.tables import figure
        >>> figure(0.18421, 4), figure(1.0, 4), figure(8.94, 1)
        ('.1842', '1.0000', '8.9')
    """
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") and digits > 1 else text


def with_spread(spread: dict[str, Any] | None, digits: int) -> str:
    """`mean ± std`; the mean alone of a single value; a dash of none."""
    if spread is None:
        return NONE
    mean = figure(spread["mean"], digits)
    return mean if spread["std"] is None else f"{mean} ± {figure(spread['std'], digits)}"


def seconds(spread: dict[str, Any] | None) -> str:
    """The same of seconds: two decimals below ten, else one.

    Example:
        >>> from ltgnn.studies.tables import seconds
        >>> seconds({"mean": 0.246, "std": 0.01}), seconds({"mean": 92.04, "std": None})
        ('0.25 ± 0.01', '92.0')
    """
    if spread is None:
        return NONE
    digits = 2 if spread["mean"] < 10 else 1
    mean = f"{spread['mean']:.{digits}f}"
    return mean if spread["std"] is None else f"{mean} ± {spread['std']:.{digits}f}"


def _seconds_to(figures: dict[str, Any] | None, level: str) -> str:
    if figures is None or not figures["seconds_to"][level]["reached"]:
        return NONE
    found, runs = figures["seconds_to"][level], figures["runs"]
    part = f" ({found['reached']} of {runs})" if found["reached"] < runs else ""
    return seconds(found["seconds"]) + part


def _failed(by_protocol: dict[str, Any]) -> str:
    failed = sum(figures["failed"] for figures in by_protocol.values())
    every = failed + sum(figures["runs"] for figures in by_protocol.values())
    return f" ({failed} of {every} runs failed)" if failed else ""


def _mean_and_std(spread: dict[str, Any] | None) -> list[Any]:
    if spread is None:
        return ["", ""]
    return [spread["mean"], "" if spread["std"] is None else spread["std"]]


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
