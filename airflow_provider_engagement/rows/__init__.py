"""Rows: their columns, and how responses are decoded into them. Imports nothing from Airflow."""
