"""LangChain's own conformance tests for tools (`langchain-tests`)."""

from __future__ import annotations

from typing import Any

from langchain_tests.unit_tests import ToolsUnitTests

from specprefill_integrations.langchain import RecallTool
from specprefill_integrations.originals import InMemoryOriginals


class TestRecallTool(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[RecallTool]:
        return RecallTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"originals": InMemoryOriginals()}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"reference": "a1b2c3", "around": "the error"}
