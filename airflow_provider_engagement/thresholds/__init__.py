"""Thresholds on counts: parse, poll, evaluate, and remember what was reported. No Airflow here."""
