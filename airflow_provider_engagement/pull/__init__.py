"""The spine: plan -> send -> flatten -> sink. Imports nothing from Airflow."""

from airflow_provider_engagement.pull.pull import ReportingPeriod, pull
from airflow_provider_engagement.pull.results import PullResult, PullStats

__all__ = ["PullResult", "PullStats", "ReportingPeriod", "pull"]
