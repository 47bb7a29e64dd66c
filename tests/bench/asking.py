"""Asks an HTTP service at a rate, cheaply: `python -m tests.bench.asking HOST PORT RATE SECONDS`.

A process of its own over a few plain connections, so that what is measured is the service and not its client. The
questions are read from standard input, a path a line; the answers' times, from when each was due, are printed as JSON.
"""

import asyncio
import json
import os
import sys
import time
from itertools import cycle

CONNECTIONS = 64
_LONGEST = 30.0  # s


async def asked(host: str, port: int, rate: float, seconds: float, paths: list[str]) -> tuple[list[float], int]:
    """How many seconds each answer took from when it was due, whatever became of those before; how many failed."""
    took: list[float] = []
    failed = 0
    due = asyncio.Queue[tuple[float, str]]()

    async def connection() -> None:
        nonlocal failed
        while True:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                while True:
                    moment, path = await due.get()
                    try:
                        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                        is_right = await asyncio.wait_for(_answer(reader), _LONGEST)
                        took.append(time.monotonic() - moment)
                        failed += not is_right
                    finally:
                        due.task_done()
            except (OSError, EOFError, TimeoutError):
                failed += 1
            finally:
                writer.close()

    async def asking() -> None:
        began = time.monotonic()
        for number, path in zip(range(int(rate * seconds)), cycle(paths), strict=False):
            moment = began + number / rate
            await asyncio.sleep(moment - time.monotonic())
            due.put_nowait((moment, path))
        await due.join()

    # A connection ends only where none can be made: then there is nobody to ask.
    tasks = [asyncio.create_task(each) for each in (asking(), *(connection() for _ in range(CONNECTIONS)))]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()
    return took, failed


async def _answer(reader: asyncio.StreamReader) -> bool:
    """Reads one answer; whether it is 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return head.startswith(b"HTTP/1.1 200 ")


def main() -> None:
    """Asks, and prints."""
    host, port, rate, seconds = sys.argv[1:]
    paths = sys.stdin.read().split()
    took, failed = asyncio.run(asked(host, int(port), float(rate), float(seconds), paths))
    json.dump({"took": took, "failed": failed, "cpu": sum(os.times()[:2])}, sys.stdout)


if __name__ == "__main__":
    main()
