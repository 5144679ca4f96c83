"""The argument in which a model says what it looks for in the result of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GOAL = "goal"
"""The name of the argument."""

GOAL_HELP = (
    "What you need from the result, as a question with the names and numbers that matter. "
    "A long result is shortened to what answers it."
)
"""Tells the model what to write there. Each tool shows it, so it is short."""

# Rules for all arguments together, which one more might break.
_COMMON_RULES = {"$ref", "allOf", "anyOf", "if", "maxProperties", "not", "oneOf", "propertyNames"}


def with_goal(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of a tool and the goal, which is optional.

    Args:
        parameters: The JSON schema of the arguments, which is not changed.

    Returns:
        The schema; None if the tool has an argument of that name, or if its schema is not that of
        a plain object.
    """
    properties = parameters.get("properties", {})
    is_object = parameters.get("type", "object") == "object" and isinstance(properties, Mapping)
    if not is_object or GOAL in properties or _COMMON_RULES & parameters.keys():
        return None
    goal = {"type": "string", "description": GOAL_HELP}
    return {**parameters, "type": "object", "properties": {**properties, GOAL: goal}}


def without_goal(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the arguments that are the tool's, and the goal; None if it is not a text."""
    goal = arguments.get(GOAL)
    others = {name: value for name, value in arguments.items() if name != GOAL}
    return others, goal if isinstance(goal, str) else None
