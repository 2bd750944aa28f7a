"""What the service allows, and talking to it. Imports nothing from Airflow."""
