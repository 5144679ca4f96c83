"""Outputs of real tools, made on the spot, and what compression keeps of them.

`python -m tests.tool_outputs` measures all of them with the default draft and prints a page.
"""

from tests.tool_outputs import (  # noqa: F401 - they enter their recipes, in this order
    compilers,
    files,
    python_tools,
    services,
    system,
    version_control,
)
from tests.tool_outputs.recipe import RECIPES, CannotBeMadeError, Recipe

__all__ = ["RECIPES", "CannotBeMadeError", "Recipe"]
