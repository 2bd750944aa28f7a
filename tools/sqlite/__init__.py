"""A folder for the path of an Airflow on SQLite, which imports its settings that are code there."""
