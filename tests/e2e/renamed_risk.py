"""Risk under the name that FOLDLOG_TEST_CONTEXT gives it."""

import os

from tests.e2e.services import risk_of

context = risk_of(os.environ.get("FOLDLOG_TEST_CONTEXT", "x"))
