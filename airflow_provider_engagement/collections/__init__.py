"""Which Tweets to ask for: ids read from values, text and files. Imports nothing from Airflow."""
