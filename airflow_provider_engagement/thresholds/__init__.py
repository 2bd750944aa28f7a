"""Thresholds on counts: parse, evaluate, poll, remember. Imports nothing from Airflow."""
