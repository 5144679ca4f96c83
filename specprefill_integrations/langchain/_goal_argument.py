"""Tools that offer the model the argument for its goal."""

from __future__ import annotations

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_function
from langchain_core.utils.pydantic import get_fields

from specprefill_integrations.langchain._recall_tool import RecallTool
from specprefill_integrations.tool_results._goal_argument import GOAL, with_goal

# Under this type in their metadata, tools take a text of any form and no arguments.
_FREE_TEXT = "custom_tool"


def with_goal_argument(tool: BaseTool) -> BaseTool | None:
    """Return a copy of a tool for the model, with the goal as one more argument.

    Args:
        tool: The tool, which is not changed.

    Returns:
        The copy; None for a tool that is left alone: a recall tool, one that returns directly or
        takes free text, and one with an argument of that name, even one that the model does not
        see.

    Raises:
        Exception: LangChain cannot write the schema of the tool.
    """
    takes_free_text = (tool.metadata or {}).get("type") == _FREE_TEXT
    if tool.return_direct or takes_free_text or isinstance(tool, RecallTool):
        return None
    schema = tool.args_schema
    if isinstance(schema, type) and GOAL in get_fields(schema):
        return None
    parameters = with_goal(convert_to_openai_function(tool).get("parameters", {}))
    if parameters is None:
        return None
    offered = tool.model_copy(update={"args_schema": parameters})
    # A class may write its schema itself.
    shown = convert_to_openai_function(offered).get("parameters", {})
    return offered if GOAL in shown.get("properties", {}) else None
