"""The demo: a real purchase log through the orders context, checked against a plain recomputation."""
