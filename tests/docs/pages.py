"""The pages of the documentation, cut into their fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"(?ms)^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$")
_PATH = re.compile(r"`(?P<path>[\w./-]+\.\w+)`:?$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `path` is the file that the line before it names, as in "`topologies/orders/stock.py`:"."""

    page: str
    line: int
    language: str
    path: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A Markdown file; `name` is its path from the repository's root."""

    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Its fenced blocks, in order."""
        return tuple(self._blocks())

    @property
    def prose(self) -> str:
        """What it says outside its blocks."""
        return _FENCE.sub("", self.text)

    def _blocks(self) -> Iterator[Block]:
        for match in _FENCE.finditer(self.text):
            before = self.text[: match.start()]
            named = _PATH.search(before.rstrip().rpartition("\n")[2])
            line = before.count("\n") + 1
            yield Block(self.name, line, match["language"], named and named["path"], match["text"])


def pages() -> tuple[Page, ...]:
    """README and every page below docs/, decision records included."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return tuple(Page(str(path.relative_to(ROOT))) for path in found)


def blocks(*languages: str) -> tuple[Block, ...]:
    """Every block in one of these languages."""
    return tuple(block for page in pages() for block in page.blocks if block.language in languages)
