"""The bank under the name that FOLDLOG_TEST_CONTEXT gives it; FOLDLOG_TEST_PATIENCE is its patience in seconds."""

import os
from datetime import timedelta

from tests.e2e.services import bank_of

context = bank_of(
    os.environ.get("FOLDLOG_TEST_CONTEXT", "x"),
    timedelta(seconds=float(os.environ.get("FOLDLOG_TEST_PATIENCE", "300"))),
)
