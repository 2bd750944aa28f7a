"""The types of the sensor's parameters, and the parameters that every Airflow sensor has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from airflow_provider_engagement.operators.parameters import TaskParameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import XComArg

__all__ = ["Match", "PolledEndpoint", "Requirement", "SensorParameters", "Thresholds"]

Match: TypeAlias = Literal["any", "all"]
PolledEndpoint: TypeAlias = Literal["totals", "28hr"]

# Templated parameters also take text with a template, and the output of another task.
Requirement: TypeAlias = "int | str | XComArg"
Thresholds: TypeAlias = "Mapping[str, float | str] | str | XComArg"


class SensorParameters(TaskParameters, total=False):
    """The parameters of Airflow's ``BaseSensorOperator``, 2.11 and 3.x alike."""

    exponential_backoff: bool
    max_wait: timedelta | float | None
    mode: Literal["poke", "reschedule"]
    never_fail: bool
    poke_interval: timedelta | float
    silent_fail: bool
    soft_fail: bool
    timeout: timedelta | float | None
