"""Answers of now: between two changes of the rows a question is asked once, however many ask it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any

MOST = 1000  # answers that are kept


class Answers:
    """Keeps the answers to the rows' last version; for one event loop."""

    def __init__(self) -> None:
        self._version = -1
        self._kept: dict[Hashable, asyncio.Future[Any]] = {}

    async def of(self, version: int, question: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a question, of this version at least; whoever asks while another does waits for that one.

        A failure is that of everybody who waits, and is not kept.
        """
        if version != self._version or len(self._kept) >= MOST:
            self._version, self._kept = version, {}
        answer = self._kept.get(question)
        if answer is None:
            answer = self._kept[question] = asyncio.ensure_future(ask())
            answer.add_done_callback(partial(_forget_failed, self._kept, question))
        return await asyncio.shield(answer)


def _forget_failed(
    kept: dict[Hashable, "asyncio.Future[Any]"], question: Hashable, done: "asyncio.Future[Any]"
) -> None:
    if done.cancelled() or done.exception() is not None:
        kept.pop(question, None)
