"""What Airflow is told of this provider: a literal, since a fault here breaks every command."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Give the provider's metadata."""
    return {
        "package-name": "airflow-provider-engagement",
        "name": "X Engagement API",
        "description": "Pulls the X Enterprise Engagement API into tables.",
        "versions": ["0.1.0"],
        "connection-types": [
            {
                "connection-type": "engagement",
                "hook-class-name": ("airflow_provider_engagement.hooks.engagement.EngagementHook"),
                "hook-name": "X Engagement API",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {
                        "host": "Base URL",
                        "login": "API key",
                        "password": "API secret",
                    },
                    "placeholders": {"host": "https://data-api.x.com"},
                },
                "conn-fields": {
                    "access_token": {
                        "label": "Access token",
                        "description": "The owner's OAuth 1.0a token; empty for app-only.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "access_token_secret": {
                        "label": "Access token secret",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "bearer_token": {
                        "label": "Bearer token",
                        "description": (
                            "The app-only token; empty to exchange key and secret for it."
                        ),
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "oauth2_endpoint": {
                        "label": "Token endpoint",
                        "description": "Empty means https://api.x.com/oauth2/token.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "requests_per_minute": {
                        "label": "Requests per minute",
                        "description": (
                            "The contract's limit: a number, or one per endpoint as JSON: "
                            '{"totals": 300, "28hr": 60, "historical": 60}.'
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "max_concurrency": {
                        "label": "Requests in flight",
                        "description": "How many requests may be in flight at once.",
                        "schema": {
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "maximum": 64,
                            "default": 8,
                        },
                    },
                    "account": {
                        "label": "Account",
                        "description": (
                            "The owner's handle, written to every row; "
                            "empty means the connection's id."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "timeout": {
                        "label": "Timeout",
                        "description": "Seconds for one request.",
                        "schema": {"type": ["number", "null"], "default": 60},
                    },
                    "strict_range": {
                        "label": "Strict range",
                        "description": (
                            "Refuse a range that reaches past what the service holds, "
                            "instead of warning."
                        ),
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                },
            }
        ],
    }
