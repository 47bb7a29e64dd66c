"""The pages hang together: every link leads somewhere, every page is listed, none is long."""

import re
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT, Page, blocks, pages

PAGES = [pytest.param(page, id=page.name) for page in pages()]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
LANGUAGES = {"bash", "sh", "console", "python", "java", "javascript", "json", "mermaid", "", "text"}


def links(page: Page) -> list[str]:
    return LINK.findall(page.prose)


def anchors(page: Page) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.prose)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Page, link: str) -> str | None:
    """What is wrong with a link; None where nothing is."""
    parts = urlsplit(link)
    if parts.scheme:
        return f"{link} leaves the repository"
    target = (page.path.parent / parts.path).resolve() if parts.path else page.path
    if not target.exists():
        return f"{link} leads to nothing"
    if parts.fragment and parts.fragment not in anchors(Page(str(target.relative_to(ROOT)))):
        return f"{link} names no heading"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Page) -> None:
    assert [fault for link in links(page) if (fault := broken(page, link))] == []


@pytest.mark.parametrize("link", ["nothing.md", "concepts.md#nothing", "https://example.org/"])
def test_a_broken_link_would_be_found(link: str) -> None:
    assert broken(Page("docs/index.md"), link)


def test_the_index_lists_every_page() -> None:
    index = Page("docs/index.md")
    listed = {(index.path.parent / link).resolve() for link in links(index)}
    assert listed == {page.path for page in pages()} - {index.path, ROOT / "README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page: Page) -> None:
    limit = 60 if "adr/" in page.name else 190 if page.name == "docs/operate.md" else 150
    prose = page.prose if page.name == "README.md" else page.text
    assert len(prose.splitlines()) < limit


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short_enough_to_review(page: Page) -> None:
    tables = ("|", "#")
    assert [line for line in page.prose.splitlines() if len(line) > 125 and not line.startswith(tables)] == []


def test_every_block_is_of_a_language_that_is_checked() -> None:
    assert {
        str(block): block.language for page in pages() for block in page.blocks if block.language not in LANGUAGES
    } == {}


def test_fences_are_closed() -> None:
    assert {page.name: page.prose.count("```") for page in pages() if "```" in page.prose} == {}


def test_plain_blocks_are_trees_of_folders_only() -> None:
    assert [str(block) for block in blocks("", "text") if "├──" not in block.text] == []
