"""One file in one process: connections, transactions, the writer's lock, the log."""
