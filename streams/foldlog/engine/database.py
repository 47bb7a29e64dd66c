"""RocksDB as the stores have it: how it is opened, and tables that are made outside and added whole."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog
from rocksdict import (
    BlockBasedOptions,
    DBCompressionType,
    IngestExternalFileOptions,
    MemtableFactory,
    Options,
    Rdict,
    SliceTransform,
    SstFileWriter,
)

from foldlog.core.errors import StoreError

log = structlog.get_logger()

_BUCKETS = 50_000  # of 8 bytes, for some 100,000 rows in 16 MB
_TABLE = "adding.sst"  # a table that is not part of the store yet
_DAMAGE = ("Corruption", "No such file", "Invalid argument")


def opened(path: Path) -> Rdict:
    """The database in a directory, an empty one where none is, or a damaged one.

    Raises StoreError where it cannot be opened for another reason: it is open elsewhere, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path)
    except Exception as error:
        if not any(sign in str(error) for sign in _DAMAGE):  # a lock or a full disk is no reason to delete
            raise StoreError(f"store {path} cannot be opened: {error}") from error
        log.warning("store is damaged, it is folded again from its log", store=str(path), because=str(error))
        shutil.rmtree(path, ignore_errors=True)
        return _opened(path)


def add_table(database: Rdict, path: Path, entries: Mapping[bytes, bytes | None]) -> None:
    """Adds entries, and deletes those of None, all or nothing: sorted into a table, with neither log nor memtable."""
    file = str(path / _TABLE)
    table = SstFileWriter(_options())
    table.open(file)
    for key in sorted(entries):
        if (value := entries[key]) is None:
            del table[key]
        else:
            table[key] = value
    table.finish()
    moved = IngestExternalFileOptions()
    moved.set_move_files(True)
    database.ingest_external_file([file], moved)


def _opened(path: Path) -> Rdict:
    options = _options()  # named twice: a store that is there already would have those that it was made with
    return Rdict(str(path), options, {"default": options})


def _options() -> Options:
    options = Options(raw_mode=True)
    options.set_max_background_jobs(2)
    options.set_write_buffer_size(16 << 20)
    options.set_keep_log_file_num(1)
    options.set_max_open_files(64)
    # Who is looked up is cached decoded; of the others each is in another block, so the page cache is cache enough.
    options.set_compression_type(DBCompressionType.none())
    # Rows are looked up by their whole keys and hardly ever walked through: hashed they are written at half the cost.
    options.set_prefix_extractor(SliceTransform.create_noop())
    options.set_memtable_factory(MemtableFactory.hash_link_list(_BUCKETS))  # type: ignore[call-arg]  # static, its stub is not
    options.set_allow_concurrent_memtable_write(False)  # one thread writes, and such a table takes no more
    table = BlockBasedOptions()
    table.disable_cache()
    table.set_bloom_filter(10, False)  # most look-ups that miss are of new aggregates
    options.set_block_based_table_factory(table)
    return options
