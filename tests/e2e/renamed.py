"""The orders context under the name in FOLDLOG_TEST_CONTEXT, so that each test has topics of its own."""

import os
from dataclasses import replace

import topologies.orders

context = replace(topologies.orders.orders, name=os.environ.get("FOLDLOG_TEST_CONTEXT", "orders"))
