"""Wait for thresholds in a DAG."""
