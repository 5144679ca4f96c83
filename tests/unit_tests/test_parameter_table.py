"""Parameters of the integrations: the same names and defaults, as docs/agents.md lists them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from specprefill_integrations.langchain import (
    SpecPrefillContextEdit,
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    SpecPrefillMiddleware,
    compress_messages,
)
from specprefill_integrations.llama_index import (
    SpecPrefillMemoryBlock,
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    compress_tool,
    compress_tools,
)

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
BEGIN = "<!-- made from the signatures: begin -->\n"
END = "<!-- made from the signatures: end -->"

AGENTS = (
    SpecPrefillMiddleware,
    compress_messages,
    SpecPrefillContextEdit,
    compress_tool,
    compress_tools,
)
OTHERS = (
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
    SpecPrefillMemoryBlock,
)

# Parameters that a framework defines for all classes of its kind.
OF_FRAMEWORKS = {
    *BaseMemoryBlock.model_fields,
    *BaseNodePostprocessor.model_fields,
    *(name for name in dir(AgentMiddleware) if not name.startswith("_")),
}

REQUIRED = "required"


def parameters(integration: Callable[..., Any]) -> dict[str, str]:
    """Keywords with their defaults, those of the framework left out."""
    if inspect.isclass(integration) and issubclass(integration, BaseModel):
        found = {
            name: REQUIRED
            if field.is_required()
            else repr(field.default)
            if field.default is not PydanticUndefined
            else f"{field.default_factory.__name__}()"  # type: ignore[union-attr]
            for name, field in integration.model_fields.items()
        }
    else:
        found = {
            name: REQUIRED if one.default is one.empty else repr(one.default)
            for name, one in inspect.signature(integration).parameters.items()
            if one.kind is one.KEYWORD_ONLY
        }
    return {name: default for name, default in found.items() if name not in OF_FRAMEWORKS}


def table_of(integrations: tuple[Callable[..., Any], ...]) -> str:
    """A table: a row for each parameter, a column for each integration."""
    given = [parameters(integration) for integration in integrations]
    names = list(dict.fromkeys(name for one in given for name in one))
    # What most of them take comes first.
    names.sort(key=lambda name: -sum(name in one for one in given))
    rows = [["parameter", "default", *(f"`{one.__name__}`" for one in integrations)]]
    rows.append(["---"] * len(rows[0]))
    for name in names:
        default = next(one[name] for one in given if name in one)
        shown = default if default == REQUIRED else f"`{default}`"
        rows.append([f"`{name}`", shown, *("yes" if name in one else "-" for one in given)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_page_shows_the_signatures() -> None:
    shown = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == f"{table_of(AGENTS)}\n{table_of(OTHERS)}".strip()


def test_a_shared_name_has_one_default() -> None:
    seen: dict[str, set[str]] = {}
    for integration in (*AGENTS, *OTHERS):
        for name, default in parameters(integration).items():
            seen.setdefault(name, set()).add(default)
    assert {name: defaults for name, defaults in seen.items() if len(defaults) > 1} == {}


def test_integrations_of_agents_take_the_same() -> None:
    shared = {
        "budget",
        "compressor",
        "error_min_tokens",
        "exclude_tools",
        "metrics",
        "min_tokens",
        "originals",
        "query",
        "tool_policies",
        "ttft_log",
    }
    for integration in AGENTS:
        assert shared <= parameters(integration).keys(), integration
    for integration in OTHERS:
        assert {"compressor", "metrics"} <= parameters(integration).keys(), integration


def test_shared_parameters_have_the_same_types() -> None:
    types: dict[str, set[str]] = {}
    for integration in AGENTS:
        signature: Mapping[str, inspect.Parameter] = inspect.signature(integration).parameters
        for name in parameters(integration):
            types.setdefault(name, set()).add(str(signature[name].annotation))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
