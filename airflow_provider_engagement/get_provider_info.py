"""The provider's metadata: a literal, because an error here breaks every Airflow command."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Give the provider's metadata.

    The connection form is described here, once: Airflow 3 reads it as it stands, and for 2.11
    ``hooks/form.py`` makes the form out of it. No field has a default, since the form would save
    it, and what is not set is to follow the package's own default.
    """
    return {
        "package-name": "airflow-provider-engagement",
        "name": "X Engagement API",
        "description": "Pulls the X Enterprise Engagement API into tables.",
        "versions": ["0.1.0"],
        "extra-links": [
            "airflow_provider_engagement.operators.links.EngagementDestinationLink",
            "airflow_provider_engagement.operators.links.EngagementReportLink",
        ],
        # Airflow 3.2 and later read it.
        "cli": [
            "airflow_provider_engagement.cli.airflow_commands.get_engagement_cli_commands",
        ],
        "connection-types": [
            {
                "connection-type": "engagement",
                "hook-class-name": ("airflow_provider_engagement.hooks.engagement.EngagementHook"),
                "hook-name": "X Engagement API",
                "ui-field-behaviour": {
                    # The port is of use to Airflow 3.3.1 and 3.3.2 alone, whose "Test" refuses
                    # a connection without one (apache/airflow#73298).
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {
                        "host": "Base URL",
                        "login": "API key",
                        "password": "API secret",
                    },
                    "placeholders": {
                        "host": "https://data-api.x.com",
                        "port": "443",
                        "login": "the app's consumer key",
                        "password": "the app's consumer secret",
                        # On Airflow 2 only: Airflow 3 has placeholders for the fields above.
                        "account": "acme",
                        "access_token": "leave empty for app-only access",
                        "oauth2_endpoint": "https://api.x.com/oauth2/token",
                        "requests_per_minute": '300, or {"totals": 300, "28hr": 60}',
                        "max_concurrency": "8",
                        "timeout": "60",
                    },
                },
                "conn-fields": {
                    "account": {
                        "label": "Account",
                        "description": (
                            "The handle of the Tweets' owner, written to every row. "
                            "Empty: the connection's id."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "access_token": {
                        "label": "Access token",
                        "description": (
                            "The owner's OAuth 1.0a token. Empty: app-only access, which is to "
                            "the public counts on /totals."
                        ),
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "access_token_secret": {
                        "label": "Access token secret",
                        "description": "The secret of the owner's token.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "bearer_token": {
                        "label": "Bearer token",
                        "description": (
                            "The app's own token, best stored here. Empty: exchanged from API "
                            "key and secret when it is needed."
                        ),
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "oauth2_endpoint": {
                        "label": "Token endpoint",
                        "description": (
                            "Where the bearer token is exchanged. "
                            "Empty: https://api.x.com/oauth2/token."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "requests_per_minute": {
                        "label": "Requests per minute",
                        "description": (
                            "What the contract allows: a number, or one per endpoint such as "
                            '{"totals": 300, "28hr": 60, "historical": 60}. '
                            "Empty: what the service tells."
                        ),
                        "schema": {"type": ["string", "number", "object", "null"]},
                    },
                    "max_concurrency": {
                        "label": "Requests in flight",
                        "description": "How many may be under way at once, 1 to 64. Empty: 8.",
                        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 64},
                    },
                    "timeout": {
                        "label": "Timeout",
                        "description": "Seconds that one request may take, up to 3600. Empty: 60.",
                        "schema": {"type": ["number", "null"], "minimum": 1, "maximum": 3600},
                    },
                    "rate_limit_conn_id": {
                        "label": "Rate limit connection",
                        "description": (
                            "The id of a connection of type redis or postgres, through which "
                            "workers on several machines share the requests per minute. "
                            "Empty: a file on each machine."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "strict_range": {
                        "label": "Strict range",
                        "description": (
                            "Refuse a range that reaches past what the service holds, "
                            "instead of warning."
                        ),
                        "schema": {"type": ["boolean", "null"]},
                    },
                },
            }
        ],
    }
