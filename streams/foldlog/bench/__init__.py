"""The benchmark: one workload through foldlog's full path, and through other stream processors beside it."""
