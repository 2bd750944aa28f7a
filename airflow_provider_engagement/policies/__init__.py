"""What Airflow does when a task has failed."""
