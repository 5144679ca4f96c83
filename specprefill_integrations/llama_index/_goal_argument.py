"""Metadata of tools that offers the model the argument for its goal."""

from __future__ import annotations

import copy
from typing import Any

from llama_index.core.bridge.pydantic import Field, create_model
from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata

from specprefill_integrations.llama_index._recall_tool import RecallTool
from specprefill_integrations.tool_results._goal_argument import GOAL, GOAL_HELP, with_goal


def with_goal_argument(tool: BaseTool) -> ToolMetadata | None:
    """Return the metadata of a tool, with the goal as one more argument in its schema.

    Args:
        tool: The tool, which is not changed.

    Returns:
        The metadata; None for a tool that is left alone: a recall tool, a handoff, one that returns
        directly or has no schema, and one with an argument of that name, even one that the model
        does not see.

    Raises:
        Exception: pydantic cannot extend the schema of the tool.
    """
    schema = tool.metadata.fn_schema
    if isinstance(tool, RecallTool) or returns_directly(tool.metadata) or schema is None:
        return None
    fixed = tool.partial_params if isinstance(tool, FunctionTool) else {}
    is_taken = hasattr(schema, GOAL) or GOAL in schema.model_fields or GOAL in fixed
    if is_taken or with_goal(tool.metadata.get_parameters_dict()) is None:
        return None
    metadata = copy.copy(tool.metadata)
    more: dict[str, Any] = {GOAL: (str, Field(default="", description=GOAL_HELP))}
    metadata.fn_schema = create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, **more
    )
    # A class may write its schema itself.
    shown = metadata.get_parameters_dict().get("properties", {})
    return metadata if GOAL in shown else None


def returns_directly(metadata: ToolMetadata) -> bool:
    """True for a tool whose output goes to the user or, as that of a handoff, to another agent."""
    return metadata.return_direct or metadata.name == "handoff"
