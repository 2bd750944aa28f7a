"""The Airflow face of a pull."""
