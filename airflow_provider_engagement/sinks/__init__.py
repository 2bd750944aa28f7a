"""Where rows are written: memory, files, objects, BigQuery. Imports nothing from Airflow."""
