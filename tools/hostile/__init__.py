"""Malformed responses and network faults, with the outcome of each.

tests/hostile sends each case and checks its outcome. docs/reference/faults.md lists the same cases.
"""
