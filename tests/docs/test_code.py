"""Code in the pages is the project's own, word for word."""

import json
import re

import pytest

from foldlog.cli.demo.cdnow import read
from foldlog.cli.demo.expected import expected
from foldlog.cli.flow import mermaid
from foldlog.core.outcome import CAUSES
from foldlog.core.topics import topics
from foldlog.engine.remembered import REMEMBERED
from foldlog.engine.work import LONGEST_ID
from tests.docs.pages import ROOT, Block, Page, blocks
from tests.docs.walkthroughs import WRITTEN
from topologies.orders import orders

README = Page("README.md")


def paragraphs(text: str) -> list[str]:
    """The top-level definitions of a Python text."""
    return [part.strip() for part in text.split("\n\n\n")]


def missing(block: Block) -> list[str]:
    """The definitions of a block that the file it names does not have."""
    assert block.path is not None, f"{block} names no file"
    theirs = (ROOT / block.path).read_text(encoding="utf-8")
    whole = {line for part in paragraphs(theirs) for line in (part,)}
    return [part for part in paragraphs(block.text) if part not in whole and f"\n{part}\n" not in theirs]


@pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in blocks("python")])
def test_python_is_run_or_cut_from_a_file(block: Block) -> None:
    if block.page in WRITTEN:
        assert block.path, f"{block}: the walk-through writes the file that the line before the block names"
    else:
        assert missing(block) == []


def test_a_changed_definition_would_be_found() -> None:
    block = next(block for block in README.blocks if block.path == "topologies/orders/stock.py")
    changed = Block(block.page, block.line, "python", block.path, block.text.replace("quantity < 1", "quantity < 0"))
    assert [part.partition("(")[0] for part in missing(changed)] == ["def decide"]


def test_the_readme_shows_the_stock_aggregate_whole() -> None:
    shown = {block.path: block.text for block in README.blocks if block.language == "python"}
    assert shown["topologies/orders/stock.py"] == (ROOT / "topologies/orders/stock.py").read_text(encoding="utf-8")
    assert "given(stock" in shown["tests/topologies/test_stock.py"]


def test_the_picture_names_what_is_there() -> None:
    drawn = set(re.findall(r'"([a-z_.]+)"', next(block.text for block in blocks("mermaid"))))
    declared = {processor.name for processor in orders.processors} | {topic.name for topic in topics(orders)}
    assert drawn - declared == set()
    assert {processor.name for processor in orders.processors} - drawn == {"stock_levels"}
    assert all(name in mermaid(orders) for name in drawn)


def test_json_is_a_command_a_line() -> None:
    for block in blocks("json"):
        assert all({"type", "data"} <= json.loads(line).keys() for line in block.text.splitlines())


def test_the_demo_comes_to_what_the_readme_says() -> None:
    """Its totals, from the file alone: the whole demo is `make demo`'s own test."""
    outcome = expected(read(ROOT / "topologies/orders/data/CDNOW_master.txt.gz"))
    ((reason, cancelled),) = outcome.cancelled.items()
    rows = (("confirmed", "", outcome.confirmed), ("cancelled", reason, cancelled))
    for status, why, total in rows:
        line = f"{status} {why} {total.orders:,} {total.units:,} {total.money}"
        assert line.split() in [shown.split() for shown in README.text.splitlines()]
    assert f"{len(outcome.orders):,} real purchases" in README.text


def test_the_analysed_months_are_those_of_the_file() -> None:
    """What the page shows of the first orders, which the walk-through gets by SQL, recomputed from the file alone."""
    first = read(ROOT / "topologies/orders/data/CDNOW_master.txt.gz")[:300]
    shown = re.findall(r"(?m)^(1997-0[123])-01 +(\d+) +([\d.]+)$", Page("docs/analyse-views.md").text)
    assert len(shown) == 3
    for month, orders_, spent in shown:
        sold = [purchase.money for purchase in first if purchase.month == month]
        assert (len(sold), f"{sum(sold):.2f}") == (int(orders_), spent)


def test_the_causes_of_dead_letters_are_listed() -> None:
    page = Page("docs/produce-from-any-language.md").prose.partition("## Causes")[2].partition("\n## ")[0]
    assert dict(re.findall(r"(?m)^\| `([a-z-]+)` \| (.+) \|$", page)) == CAUSES
    assert len(CAUSES) == 12, "ADR 7 says how many there are"


def test_the_numbers_are_the_engines() -> None:
    assert f"last {REMEMBERED} command ids" in README.text
    assert f"last {REMEMBERED} ids" in Page("docs/produce-from-any-language.md").text
    assert f"at most {LONGEST_ID} characters" in Page("docs/produce-from-any-language.md").text
    assert f"the last {REMEMBERED} of them" in Page("docs/concepts.md").text


def test_the_concepts_list_every_kind_of_topic() -> None:
    page = Page("docs/concepts.md").prose.partition("## Topics")[2].partition("\n## ")[0]
    shown = set(re.findall(r"(?m)^\| `<context>\.([^`]+)`", page))
    forms = {
        *(f"<aggregate>.{part}" for part in ("commands", "events", "snapshots")),
        *(f"<view>{part}" for part in ("", ".rekeyed")),
        *(f"<saga>{part}" for part in ("", ".inbox", ".commands")),
        "<publication>",
        "replies",
        "generations",
        "<processor>.parked",
        "repairs",
        "<subscription>.repairs",
        "dead-letters",
    }
    assert shown == forms
    roles = {**dict.fromkeys(("order", "stock", "payment"), "<aggregate>"), "fulfilment": "<saga>"}
    roles |= dict.fromkeys((view.name for view in orders.views), "<view>")
    declared = {topic.name.removeprefix("orders.") for topic in topics(orders)}
    declared -= {f"{name}.parked" for name in orders.parking}
    assert {".".join(roles.get(part, part) for part in name.split(".")) for name in declared} <= forms


def test_every_folder_of_the_map_is_there() -> None:
    folders = re.findall(r"(?m)^\| `([\w/]+)` \|", README.prose.partition("## What is where")[2])
    assert folders
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
