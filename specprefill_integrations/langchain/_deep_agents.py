"""Deep agents: the middleware in the main agent of `deepagents` and in its subagents."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from specprefill_integrations._arguments import checked
from specprefill_integrations.langchain._middleware import SpecPrefillMiddleware

_EXACT_TOOLS = ("read_file", "write_*", "edit_file", "delete", "task", "*_async_task*")

# What deep agents bring along. The general-purpose subagent takes over the main agent's middleware
# of these names, such as a file system with fewer tools.
_OWN_MIDDLEWARE = {
    "AnthropicPromptCachingMiddleware",
    "BedrockPromptCachingMiddleware",
    "FilesystemMiddleware",
    "FireworksPromptCachingMiddleware",
    "PatchToolCallsMiddleware",
    "SkillsMiddleware",
    "SummarizationMiddleware",
}


@checked
def deep_agent_options(
    middleware: SpecPrefillMiddleware,
    /,
    *,
    exclude_tools: Iterable[str] = _EXACT_TOOLS,
    general_purpose: bool = True,
    **options: Any,  # noqa: ANN401 - those of `create_deep_agent`
) -> dict[str, Any]:
    """Return options of `create_deep_agent` that give all of its agents the middleware.

    The main agent, each subagent that is a dictionary and the general-purpose one, which deep
    agents add by themselves, share one middleware: its compressor and its store of originals. Each
    can recall what another one was shown. A subagent that has such a middleware already keeps it.
    Compiled subagents (`runnable`) and remote ones (`graph_id`) stay as they are: give the
    middleware to the agents that they are made of.

    Args:
        middleware: The middleware, which is not changed.
        exclude_tools: Names or globs of tools whose results pass through unchanged, besides those
            of the middleware. By default what edits need word for word, confirmations, and the
            reports of subagents.
        general_purpose: False leaves out the general-purpose subagent, where the model's harness
            profile switches it off.
        options: Options of `create_deep_agent`, by name.

    Raises:
        ModuleNotFoundError: `deepagents` is not installed.
        TypeError: An argument has another type.
    """
    globs = (*middleware.settings.exclude_tools, *exclude_tools)
    shared = copy.copy(middleware)
    shared.settings = replace(middleware.settings, exclude_tools=globs)
    own = list(options.get("middleware") or ())
    subagents = list(options.get("subagents") or ())
    if general_purpose and not any(_is_general_purpose(one) for one in subagents):
        subagents.insert(0, _general_purpose(options, own))
    return {
        **options,
        "middleware": [shared, *own],
        "subagents": [_with_middleware(one, shared) for one in subagents],
    }


def _is_general_purpose(subagent: Mapping[str, Any]) -> bool:
    return subagent.get("name") == "general-purpose"


def _general_purpose(options: Mapping[str, Any], own: Iterable[Any]) -> dict[str, Any]:
    """The subagent that deep agents add if there is none of its name."""
    # At call time: only those who have it call this.
    from deepagents.middleware.subagents import GENERAL_PURPOSE_SUBAGENT  # noqa: PLC0415

    inherited = [one for one in own if one.name in _OWN_MIDDLEWARE]
    skills = {"skills": options["skills"]} if options.get("skills") else {}
    return {**GENERAL_PURPOSE_SUBAGENT, **skills, "middleware": inherited}


def _with_middleware(
    subagent: Mapping[str, Any], middleware: SpecPrefillMiddleware
) -> Mapping[str, Any]:
    """The subagent with the middleware, if it can have it and has none."""
    own = list(subagent.get("middleware") or ())
    if "runnable" in subagent or "graph_id" in subagent:
        return subagent
    if any(isinstance(one, SpecPrefillMiddleware) for one in own):
        return subagent
    return {**subagent, "middleware": [middleware, *own]}
