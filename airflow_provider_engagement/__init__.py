"""An Apache Airflow provider that turns the X Enterprise Engagement API into tables."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
