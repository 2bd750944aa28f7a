"""From answers to rows, and from rows to where they land. Imports nothing from Airflow."""
