"""The command line `engagement`: plan, pull, read collections, authorize, test a connection."""
