"""Work on a stream in a few threads, with the results in the stream's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

WORKERS = 2


def ordered(work: Callable[[S], T], stream: Iterable[S], workers: int = WORKERS) -> Iterator[T]:
    """The results for the elements of a stream, in order; work runs ahead by ``workers`` elements.

    At most ``workers + 1`` elements or results are alive at a time, and the one handed out. The stream
    itself is drawn from in the caller's thread.

    Example:
        >>> list(ordered(lambda x: x * x, range(4)))
        [0, 1, 4, 9]
    """
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for element in stream:
            pending.append(pool.submit(work, element))
            del element
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
