"""What waits for a threshold in Airflow's triggerer."""
