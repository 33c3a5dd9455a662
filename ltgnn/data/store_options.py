"""Which options of ``read`` have a say over a block store, and which its conversion has settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltgnn.data._native import display_name
from ltgnn.data.block_store import BlockStore

# The defaults of ``read``: an option that has its default may not have been given at all.
OF_FILES: dict[str, Any] = {"format": "auto", "columns": None, "delimiter": None, "header": "auto"}
OF_DRAWS: dict[str, Any] = {"test_fraction": 0.2, "valid_fraction": 0.0, "seed": 0}


def keeps_its_split(store: BlockStore, split: str) -> bool:
    """Whether the parts of a store are taken as they are."""
    return split in ("auto", "given") and len(store.parts) > 1


def check_store_options(store: BlockStore, options: Mapping[str, Any], prefix: str = "") -> None:
    """Refuses what would be ignored: a program that passes defaults, or what the store was made with, is right.

    Args:
        store: what is read.
        options: of ``read``; those that are left out are at their defaults.
        prefix: of the options' names in errors, like "--read.".

    Raises:
        ValueError: an option that says how a file is read, or, where the store's own split is used, how one is
            drawn, is neither at its default nor as the store was made; or the store is larger than max_bytes.
    """
    name = display_name(store.path)
    for option, default in OF_FILES.items():
        value = options.get(option, default)
        if value != default:
            raise ValueError(
                f"{name}: {prefix}{option}: expected {default!r}, the default, since format, columns, "
                f"delimiter and header mean nothing to a block store, got {value!r}; they are for "
                "`ltgnn convert`"
            )
    size, most = store.header.file_bytes, options.get("max_bytes")
    if most is not None and size > most:
        raise ValueError(
            f"{name}: {prefix}max_bytes: expected at least the store's {size} bytes, got {most}"
        )
    if not keeps_its_split(store, options.get("split", "auto")):
        return
    holds_out = options.get("valid_fraction", 0.0) and "valid" not in store.parts
    for option, default in OF_DRAWS.items():
        if not (holds_out and option in ("valid_fraction", "seed")):
            _check_draw(store, option, options.get(option, default), prefix)


def _check_draw(store: BlockStore, option: str, value: Any, prefix: str) -> None:
    default, made_with = OF_DRAWS[option], store.drawn.get(option)
    if value == default or (made_with is not None and value == made_with):
        return
    also = "" if made_with in (None, default) else f", or {made_with!r}, as it was split"
    split = "" if option == "valid_fraction" else " --split random"
    raise ValueError(
        f"{display_name(store.path)}: {prefix}{option}: expected {default!r}, the default{also}, since the "
        f"store's own split is used, got {value!r}; `ltgnn convert{split} --{option} {value}` makes a "
        f"store with another, and `{prefix}split random` draws one here, in memory"
    )
