"""Schemas are files: stable, named by the record, and checked against the code."""

from pathlib import Path

import pytest

from foldlog.contracts import files
from foldlog.contracts.subjects import names, schemas
from foldlog.core.errors import ContractError
from tests.contracts.specimen import banking


def test_files_are_written_where_a_records_name_says(tmp_path: Path) -> None:
    written = files.write(banking(), tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == [
        "banking/account/Account.avsc",
        "banking/account/Post.avsc",
        "banking/account/Posted.avsc",
        "banking/audit/Steps.avsc",
        "banking/balances/Balance.avsc",
        "foldlog/Checkpoint.avsc",
        "foldlog/DeadLetter.avsc",
        "foldlog/Parked.avsc",
        "foldlog/ParkedKey.avsc",
        "foldlog/Repair.avsc",
        "foldlog/Reply.avsc",
    ]
    assert files.load(tmp_path) == schemas(banking())
    assert files.check(banking(), tmp_path) == []


def test_writing_again_changes_no_byte(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in files.write(banking(), tmp_path)}
    after = {path: path.read_bytes() for path in files.write(banking(), tmp_path)}
    assert before == after
    assert all(text.endswith(b"}\n") for text in before.values())


def test_a_stale_a_missing_and_an_orphaned_file_are_named(tmp_path: Path) -> None:
    files.write(banking(), tmp_path)
    stale, missing, orphan = (tmp_path / f"banking/account/{name}.avsc" for name in ("Post", "Posted", "Gone"))
    stale.write_bytes(b"\xff")
    orphan.write_bytes(missing.read_bytes())
    missing.unlink()
    remedy = "run `foldlog schemas write topologies.banking`"
    assert files.check(banking(), tmp_path) == [
        f"{stale} is stale: {remedy}",
        f"{missing} is missing: {remedy}",
        f"{orphan} belongs to no record of banking: {remedy}",
    ]
    files.write(banking(), tmp_path)
    assert not orphan.exists()
    assert files.check(banking(), tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "A"}'])
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Bad.avsc"
    path.write_text(text)
    with pytest.raises(ContractError, match=r"Bad\.avsc is no Avro record with name and namespace"):
        files.load(tmp_path)


def test_subjects_follow_topic_and_record_name() -> None:
    assert names(banking()) == {
        "banking.account.commands-banking.account.Post": "banking.account.Post",
        "banking.account.events-banking.account.Posted": "banking.account.Posted",
        "banking.account.snapshots-banking.account.Account": "banking.account.Account",
        "banking.account.snapshots-foldlog.Checkpoint": "foldlog.Checkpoint",
        "banking.audit-banking.audit.Steps": "banking.audit.Steps",
        "banking.balances-banking.balances.Balance": "banking.balances.Balance",
        "banking.audit.parked-foldlog.Parked": "foldlog.Parked",
        "banking.audit.parked-foldlog.ParkedKey": "foldlog.ParkedKey",
        "banking.balances.parked-foldlog.Parked": "foldlog.Parked",
        "banking.balances.parked-foldlog.ParkedKey": "foldlog.ParkedKey",
        "banking.repairs-foldlog.Repair": "foldlog.Repair",
        "banking.replies-foldlog.Reply": "foldlog.Reply",
        "banking.dead-letters-foldlog.DeadLetter": "foldlog.DeadLetter",
    }
