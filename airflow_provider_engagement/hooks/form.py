"""The connection form for Airflow 2.11, built from the description that Airflow 3 reads.

The form is described once, in :mod:`airflow_provider_engagement.get_provider_info`. Airflow 3
reads only that description; 2.11 asks the hook, which returns what this module builds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["field_behaviour", "fields", "widgets"]


def fields() -> dict[str, Any]:
    """Return the fields of the form by name, as ``conn-fields`` describes them."""
    described: dict[str, Any] = _connection_type()["conn-fields"]
    return described


def field_behaviour() -> dict[str, Any]:
    """Return how Airflow's own fields are shown, with the keys of Airflow 2."""
    behaviour = _connection_type()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in behaviour.items()}


def widgets() -> dict[str, Any]:
    """Return the fields of the form as WTForms fields; only Airflow 2 installs WTForms.

    :raises ImportError: if it is not installed. Airflow catches this.
    """
    return {name: _widget(field) for name, field in fields().items()}


def _connection_type() -> Mapping[str, Any]:
    found: Mapping[str, Any] = get_provider_info()["connection-types"][0]
    return found


def _widget(field: Mapping[str, Any]) -> Any:
    """Return one field. Airflow 2 supports these four kinds, so other numbers are text fields."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import NumberRange, Optional

    schema = field["schema"]
    about = {"label": field["label"], "description": field["description"]}
    if "boolean" in schema["type"]:
        return BooleanField(**about)
    if schema.get("format") == "password":
        return PasswordField(**about, validators=[Optional()], widget=BS3PasswordFieldWidget())
    if "integer" in schema["type"]:
        bounds = NumberRange(schema["minimum"], schema["maximum"])
        return IntegerField(**about, validators=[Optional(), bounds], widget=BS3TextFieldWidget())
    return StringField(**about, validators=[Optional()], widget=BS3TextFieldWidget())
