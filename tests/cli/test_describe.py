"""A context described: tables, JSON, and a picture that is the same for the same topology."""

import json
import re
from pathlib import Path

from tests.cli.conftest import Cli

GOLDEN = Path(__file__).parent / "golden"


def test_the_text(cli: Cli) -> None:
    assert cli("describe", "tests.cli.bank").out == (GOLDEN / "bank.txt").read_text()


def test_the_picture(cli: Cli) -> None:
    ran = cli("describe", "tests.cli.bank", "--format", "mermaid")
    assert ran.out == (GOLDEN / "bank.mmd").read_text()


def test_each_node_of_the_picture_is_declared_once_and_each_edge_joins_two_nodes(cli: Cli) -> None:
    lines = cli("describe", "tests.cli.bank", "--format", "mermaid").out.splitlines()
    nodes = [re.split(r"\W", line.strip())[0] for line in lines if ":::" in line]
    edges = [line.split() for line in lines if "->" in line]
    assert len(nodes) == len(set(nodes))
    assert edges
    assert {end for edge in edges for end in (edge[0], edge[2])} == set(nodes)


def test_json_has_all_topics_with_their_configuration(cli: Cli) -> None:
    found = json.loads(cli("describe", "tests.cli.bank", "--json").out)
    topics = {topic["name"]: topic for topic in found["topics"]}
    assert topics["bank.account.events"]["config"]["cleanup.policy"] == "compact"
    assert {topic["partitions"] for topic in found["topics"]} == {3, 1}
    steps = {step["name"]: step for step in found["processors"]}
    assert steps["transfer"]["writes"] == ["bank.account.commands"]
    assert steps["transfer"]["reads"] == ["bank.transfer.commands", "bank.account.events"]
    assert steps["balances"]["via"] == "bank.balances.rekeyed"
    assert steps["welcome"]["takes"] == ["Opened"]
