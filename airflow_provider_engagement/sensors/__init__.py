"""What waits for a threshold in a DAG."""
