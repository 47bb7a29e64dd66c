"""The bank under the name that FOLDLOG_TEST_CONTEXT gives it; FOLDLOG_TEST_PATIENCE is its patience in seconds."""

import importlib
import os
from datetime import timedelta

from tests.e2e.banking import bank_of

if patience := os.environ.get("FOLDLOG_TEST_PATIENCE"):
    vars(importlib.import_module("topologies.banking.settlement"))["PATIENCE"] = timedelta(seconds=float(patience))

context = bank_of(os.environ.get("FOLDLOG_TEST_CONTEXT", "x"))
