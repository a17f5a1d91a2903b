"""What is acknowledged is there, whatever happens: tests that kill, cut the power, fail calls and damage files.

`test_*.py` are CI's share of it. `python -m tests.crash --hours H` spreads its time over all promises, and writes the
table of them that the README links to.
"""
