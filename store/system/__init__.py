"""The operating system's part: locks, descriptors, clocks, forks. Knows nothing of records."""
