"""What reads Airflow connections."""
