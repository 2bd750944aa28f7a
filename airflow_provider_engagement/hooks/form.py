"""The connection form as Airflow 2.11 wants it, made of what Airflow 3 reads as it stands.

The form is described once, in :mod:`airflow_provider_engagement.get_provider_info`. Airflow 3
reads that literal and nothing else; 2.11 asks the hook, which hands it what is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["field_behaviour", "fields", "widgets"]


def fields() -> dict[str, Any]:
    """Give the form's own fields by name, as ``conn-fields`` describes them."""
    described: dict[str, Any] = _connection_type()["conn-fields"]
    return described


def field_behaviour() -> dict[str, Any]:
    """Give what becomes of Airflow's own fields, and all placeholders, in Airflow 2's words."""
    behaviour = _connection_type()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in behaviour.items()}


def widgets() -> dict[str, Any]:
    """Make the form's own fields with WTForms, which comes with Airflow 2 only.

    :raises ImportError: where it is not installed; Airflow catches that.
    """
    return {name: _widget(field) for name, field in fields().items()}


def _connection_type() -> Mapping[str, Any]:
    found: Mapping[str, Any] = get_provider_info()["connection-types"][0]
    return found


def _widget(field: Mapping[str, Any]) -> Any:
    """Make one field. Airflow 2 takes these four kinds, so other numbers are read as text."""
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
