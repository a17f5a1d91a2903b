"""What the benchmarks of the engines on a server have in common: the contract of a peer, sections, many clients, tables."""
