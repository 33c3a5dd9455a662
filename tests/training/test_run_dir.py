"""A run's own copy of its interactions, external ids included."""

from __future__ import annotations

import numpy as np
import pytest

from ltgnn.data import Dataset, Interactions
from ltgnn.training import checkpoint
from ltgnn.training.run_dir import load_dataset, read_json, save_dataset, write_json

TEXT = np.array(["ä", "", "user 3"])


def dataset(user_ids, item_ids=None):
    train = Interactions([0, 2], [1, 0], 3, 2, user_ids=user_ids, item_ids=item_ids)
    return Dataset(
        "some", train, test=Interactions([1], [1], 3, 2, user_ids=user_ids, item_ids=item_ids)
    )


@pytest.mark.parametrize("user_ids", [None, TEXT, np.array([7, -1, 2**62])])
@pytest.mark.parametrize("item_ids", [None, np.array([5, 6])])
def test_what_was_kept_comes_back(tmp_path, user_ids, item_ids):
    save_dataset(tmp_path, dataset(user_ids, item_ids))
    found = load_dataset(tmp_path)
    assert found.name == "some" and found.valid is None and found.test is not None
    assert found.train.users.tolist() == [0, 2] and found.test.items.tolist() == [1]
    for side, ids in (("user_ids", user_ids), ("item_ids", item_ids)):
        kept = getattr(found.train, side)
        assert (kept is None) if ids is None else np.array_equal(kept, ids)


def test_ids_kept_as_they_were_at_first(tmp_path):
    save_dataset(tmp_path, dataset(None))
    saved = checkpoint.load(tmp_path / "data")
    meta = {**saved.meta, "user_ids": TEXT.tolist(), "item_ids": None}
    checkpoint.save(tmp_path / "data", saved.tensors, meta)
    assert np.array_equal(load_dataset(tmp_path).train.user_ids, TEXT)


def test_json_goes_to_a_new_folder_or_leaves_nothing(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"a": 1})
    assert read_json(tmp_path / "new" / "a.json") == {"a": 1}
    with pytest.raises(OSError):
        write_json(tmp_path / "new", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "b.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_more_ids_than_a_manifest_holds(tmp_path):
    ids = np.char.add("x" * 240, np.arange(160_000).astype(str))
    few = Interactions([0], [0], len(ids), 1, user_ids=ids)
    save_dataset(tmp_path, Dataset("many", few))
    assert np.array_equal(load_dataset(tmp_path).train.user_ids, ids)
