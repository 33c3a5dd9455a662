"""What options of reading mean for a block store: refused where they would be ignored."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgnn.data import BlockStore, Dataset, convert, read, store_options


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A store that was split at random: seed 5, a fifth for test and a tenth for validation."""
    (tmp_path / "a.txt").write_text(
        "".join(f"{u} {' '.join(map(str, range(20)))}\n" for u in range(9))
    )
    convert(tmp_path / "a.txt", tmp_path / "a.store", seed=5, valid_fraction=0.1)
    return tmp_path / "a.store"


def test_options_have_the_defaults_of_read() -> None:
    parameters = inspect.signature(read).parameters
    for name, default in (store_options.OF_FILES | store_options.OF_DRAWS).items():
        assert parameters[name].default == default, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 3}, "a.store: seed: expected 0, the default, or 5, as it was split, .* got 3; "
                      "`ltgnn convert --split random --seed 3` makes"),
        ({"test_fraction": 0.5}, "test_fraction: expected 0.2, the default, since .* got 0.5"),
        ({"valid_fraction": 0.3}, "valid_fraction: expected 0.0, the default, or 0.1, as .* got 0.3"),
        ({"split": "given", "seed": 3}, "seed: expected 0"),
        ({"header": False}, "header: expected 'auto', the default, .* got False; .* `ltgnn convert`"),
        ({"format": "npz"}, "format: expected 'auto', the default, .* got 'npz'"),
        ({"split": "random", "delimiter": ","}, "delimiter: expected None, the default, .* got ','"),
        ({"max_bytes": 9}, "max_bytes: expected at least the store's [0-9]+ bytes, got 9"),
    ],
)  # fmt: skip
def test_what_a_store_would_ignore_is_refused(drawn: Path, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(drawn, **options)


def test_what_a_store_was_made_with_is_accepted(drawn: Path, tmp_path: Path) -> None:
    with BlockStore(drawn) as store:
        assert store.drawn == {"test_fraction": 0.2, "valid_fraction": 0.1, "seed": 5}
    kept = keys(read(drawn))
    assert [len(part) for part in kept] == [126, 18, 36]  # of 20 a user 4, of 16 two, halves up
    same = {
        "seed": 5,
        "test_fraction": 0.2,
        "valid_fraction": 0.1,
        "max_bytes": drawn.stat().st_size,
    }
    assert keys(read(drawn, **same)) == kept
    assert keys(read(drawn, seed=0)) == kept  # the default: as if it had not been given
    others = [keys(read(drawn, split="random", seed=seed)) for seed in (3, 4)]
    assert others[0] != others[1]  # here it has a say
    convert(tmp_path / "a.txt", tmp_path / "b.store", seed=5)
    held = [keys(read(tmp_path / "b.store", seed=seed, valid_fraction=0.3)) for seed in (3, 4)]
    assert held[0][1] != held[1][1] and held[0][2] == held[1][2]  # and here, over validation
    with pytest.raises(ValueError, match="test_fraction: expected 0.2"):
        read(tmp_path / "b.store", valid_fraction=0.3, test_fraction=0.3)
    convert(
        tmp_path / "a.txt", tmp_path / "c.store", seed=np.int64(5), test_fraction=np.float32(0.5)
    )
    with BlockStore(tmp_path / "c.store") as store:
        assert store.drawn == {"test_fraction": 0.5, "seed": 5}


def keys(data: Dataset) -> list[list[int]]:
    """The pairs of each part."""
    return [(20 * part.users.astype(int) + part.items).tolist() for part in data.parts().values()]
