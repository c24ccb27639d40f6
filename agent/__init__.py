"""The process on each node: one collection round, exact counters, `/metrics`, spool and shipping."""
