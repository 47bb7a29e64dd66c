"""The `foldlog` command: composes everything, decides nothing."""
