"""What a network, a service or a stranger in its place may send, and what is to come of it.

One list for two ends: tests/hostile sends each case and holds what comes of it against what
stands here, and docs/reference/faults.md shows it as a table.
"""
