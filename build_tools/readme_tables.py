"""Writes the README's accuracy tables from the ablations' JSON.

    python -m build_tools.readme_tables            # tells whether the README is up to date
    python -m build_tools.readme_tables --write

Between the two markers stands what `benchmarks/results/ablation-*.json` say, in the order of their names, and
nothing that was typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ltgnn.studies.tables import markdown, notes

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN = "<!-- ablations: written by python -m build_tools.readme_tables --write -->\n"
END = "<!-- end of ablations -->\n"


def load_tables(folder: Path) -> list[dict[str, Any]]:
    """The ablations of a folder, by file name."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("ablation-*.json"))]


def section(tables: list[dict[str, Any]]) -> str:
    """What stands between the markers."""
    return (
        "".join(
            f"\n**{table['ablation']}**\n\n{markdown(table)}\n{notes(table)}\n" for table in tables
        )
        + "\n"
    )


def replaced(text: str, inner: str) -> str:
    """The README with `inner` between its markers.

    Raises:
        ValueError: a marker is missing, stands there twice, or the end comes first.
    """
    for marker in (BEGIN, END):
        if text.count(marker) != 1:
            raise ValueError(
                f"the README must have the line {marker.strip()!r} once, got it {text.count(marker)} times"
            )
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the README must have {END.strip()!r} below {BEGIN.strip()!r}")
    return before + BEGIN + inner + END + after


def main(arguments: list[str] | None = None) -> int:
    """Compare or write; 1 where the README is not what the JSON says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="write the README")
    options = parser.parse_args(arguments)
    old = README.read_text()
    new = replaced(old, section(load_tables(RESULTS)))
    if options.write:
        README.write_text(new)
    elif new != old:
        print("README.md is not what benchmarks/results/ablation-*.json say: run with --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
