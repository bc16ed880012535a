"""Run tasks in threads so that the first failure, or a signal, ends all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
AGAIN_SECONDS = 0.2


def side_by_side(tasks: Sequence[Callable[[], T]], threads: int, end: Callable[[], None]) -> list[T]:
    """Return what the tasks returned, in their order; raises what the first that failed has raised.

    `end` must make running tasks fail soon; it is called until they have, for one may just be starting what it ends.
    """
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="backup") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            failed = wait(futures, return_when=FIRST_EXCEPTION).done
            for future in futures:
                if future in failed:
                    future.result()
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            end()
            while wait(futures, timeout=AGAIN_SECONDS).not_done:
                end()
            raise
