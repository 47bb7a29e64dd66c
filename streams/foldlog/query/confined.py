"""How DuckDB is opened and closed off: it reaches nothing but what it is given, within bounds."""

import duckdb

Config = dict[str, str | bool | int | float | list[str]]

# Neither extensions from the network nor the variables of whoever calls.
ALONE: Config = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def bounded(memory_mb: int, threads: int) -> Config:
    """The configuration of a database with so many MiB and threads, which writes nothing for want of memory."""
    return {**ALONE, "memory_limit": f"{memory_mb}MiB", "threads": threads, "temp_directory": ""}


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """From now on no statement reaches files or the network, or changes that."""
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
