"""What `foldlog run` checks before a worker starts."""

from tests.cli.conftest import Cli, Context


def test_a_worker_needs_its_topics_as_declared(cli: Cli, empty: Context) -> None:
    ran = cli("run", empty.module)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"error: {empty.name}.account.commands is missing (and 8 more): "
        f"run `foldlog topics apply {empty.module}`, or add --apply\n"
    )


def test_only_names_a_processor(cli: Cli, empty: Context) -> None:
    ran = cli("run", empty.module, "--only", "account", "--only", "acount")
    assert ran.code == 1
    assert ran.err.startswith(f"error: {empty.name} has no processor `acount`; it has account, ")
