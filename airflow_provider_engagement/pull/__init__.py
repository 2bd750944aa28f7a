"""Plans become rows: send, flatten, write. Imports nothing from Airflow."""

from airflow_provider_engagement.pull.pull import fetch_counts, pull
from airflow_provider_engagement.pull.results import PullResult, PullStats

__all__ = ["PullResult", "PullStats", "fetch_counts", "pull"]
