"""The spine: plan -> send -> flatten -> sink. Imports nothing from Airflow."""

from airflow_provider_engagement.pull.outcome import Outcome, Tally
from airflow_provider_engagement.pull.spine import Moment, pull

__all__ = ["Moment", "Outcome", "Tally", "pull"]
