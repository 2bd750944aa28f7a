"""The spine: plan -> send -> flatten -> sink. Imports nothing from Airflow."""

from airflow_provider_engagement.pull.spine import Moment, Outcome, Tally, pull

__all__ = ["Moment", "Outcome", "Tally", "pull"]
