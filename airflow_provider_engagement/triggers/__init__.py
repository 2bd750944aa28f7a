"""Wait for thresholds in Airflow's triggerer."""
