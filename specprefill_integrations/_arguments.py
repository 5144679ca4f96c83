"""Checks of arguments, by the annotations of their parameters.

A value of another type raises `TypeError`; a number out of its range or an unknown name raises
`ValueError`. The numbers of NumPy are numbers, True is none, and a text is no sequence of texts.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, is_dataclass
from functools import partial
from itertools import cycle
from numbers import Integral, Real
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

CalledT = TypeVar("CalledT", bound=Callable[..., Any])
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Within:
    """A range of finite numbers, in an `Annotated`."""

    words: str
    """The range in words."""

    least: float
    """Its lower end."""

    most: float = math.inf
    """Its upper end."""

    is_open: bool = False
    """True if the lower end is not in it."""

    def __contains__(self, value: Any) -> bool:  # noqa: ANN401 - a number of any kind
        """Return True if a number is in the range."""
        is_above = value > self.least if self.is_open else value >= self.least
        return bool(is_above and value <= self.most and value < math.inf)


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """Marks a collection that must have items, in an `Annotated`."""

    words: str = "that is not empty"
    """The condition in words."""

    def __contains__(self, value: Any) -> bool:  # noqa: ANN401 - a collection of any kind
        """Return True if a collection has items."""
        return len(value) > 0


PositiveInt = Annotated[int, Within("of at least 1", 1)]
NonNegativeInt = Annotated[int, Within("of at least 0", 0)]
PositiveFloat = Annotated[float, Within("above 0", 0, is_open=True)]
NonNegativeFloat = Annotated[float, Within("of at least 0", 0)]
Share = Annotated[float, Within("in (0, 1]", 0, 1, is_open=True)]
Shares = Annotated[Sequence[Share], NotEmpty()]

_NUMBERS: Mapping[Any, type] = {int: Integral, float: Real}
_NAMES = {
    bool: "True or False",
    bytes: "bytes",
    float: "a number",
    int: "a whole number",
    str: "a text (str)",
    type(None): "None",
}
_EXAMPLES = {
    " Budget": "Budget(keep_fraction=0.2)",
    " ToolPolicy": "ToolPolicy(budget=Budget(max_tokens=800))",
    " TextHint": 'TextHint(kind="log")',
}


def checked(called: CalledT) -> CalledT:
    """Make a function, or a class when it is made, check its arguments by its annotations.

    Args:
        called: The function or class; annotations that exist for type checkers only allow all.
    """
    if isinstance(called, type):
        made_by = vars(called)["__init__"]
        checking = _checking(made_by, called if is_dataclass(called) else made_by)
        called.__init__ = checking  # type: ignore[misc]
        return called
    return _checking(called, called)


def check(parameter: str, value: ValueT, hint: object) -> ValueT:
    """Return an argument as it is.

    Args:
        parameter: The name of the parameter.
        value: The argument.
        hint: The type that it must have.

    Raises:
        TypeError: It has another type.
        ValueError: It has the type, but is out of its range or is none of its names.
    """
    if _fits(value, hint):
        return value
    described = _described(hint)
    msg = f"{parameter} must be {described}; got {value!r:.99}.{_advice(described, value, hint)}"
    raise ValueError(msg) if _fits(value, hint, any_value=True) else TypeError(msg)


def is_asynchronous(value: object) -> bool:
    """Return True for an asynchronous function, or an object that is called as one."""
    return any(map(inspect.iscoroutinefunction, (value, getattr(value, "__call__", None))))  # noqa: B004


def _checking(function: CalledT, source: Callable[..., Any]) -> CalledT:
    signature = inspect.signature(function)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # Python's own message names the function
            return function(*args, **kwargs)
        hints = _hints(source)
        for name, value in given.items():
            parameter = signature.parameters[name]
            if name in hints and parameter.kind not in kinds and value is not parameter.default:
                check(name, value, hints[name])
        return function(*args, **kwargs)

    return called  # type: ignore[return-value]


@functools.cache
def _hints(source: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the parameters; those that only a type checker imports are left out."""
    hints: dict[str, Any] = {}
    parameters = inspect.signature(source).parameters
    for owner in reversed(source.__mro__) if isinstance(source, type) else (source,):
        names = vars(sys.modules[owner.__module__])
        annotations = inspect.get_annotations(owner)
        for name in parameters.keys() & annotations.keys():
            one = SimpleNamespace(__annotations__={name: annotations[name]})
            with contextlib.suppress(NameError):
                hints |= get_type_hints(one, names, include_extras=True)
    return hints


def _fits(value: object, hint: object, *, any_value: bool = False) -> bool:
    """Return True if a value has a type; with `any_value`, whatever its range or name."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is None:
        is_nan = hint is float and value != value  # noqa: PLR0124 - as only NaN does
        return _is_instance(value, hint) and (any_value or not is_nan)
    if origin is Annotated:
        conditions = () if any_value else args[1:]
        fits = _fits(value, args[0], any_value=any_value)
        return fits and all(value in one for one in conditions)
    if origin is Literal:
        return any(isinstance(value, type(one)) and (any_value or value == one) for one in args)
    if origin in (Union, UnionType):
        return any(_fits(value, one, any_value=any_value) for one in args)
    if origin is Callable:
        # A class is callable too, but was meant to be made: `InMemoryOriginals()`.
        return callable(value) and not isinstance(value, type)
    items = [one for one in args if one is not ...]
    return _holds(value, origin, [partial(_fits, hint=one, any_value=any_value) for one in items])


def _is_instance(value: object, hint: Any) -> bool:  # noqa: ANN401 - a class or Any
    if hint is None:
        return value is None
    if hint is bool:
        return type(value).__name__ in {"bool", "bool_"}  # the second is of NumPy
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    is_class = isinstance(hint, type) and getattr(hint, "_is_runtime_protocol", True)
    if is_class and getattr(hint, "_is_protocol", False) and isinstance(value, type):
        return False
    return hint is Any or not is_class or isinstance(value, hint)


def _holds(value: Any, origin: type, fits: Sequence[Callable[[object], bool]]) -> bool:  # noqa: ANN401
    """Return True for a collection of a type, if its items fit; an iterator is not read."""
    # A list is as good as a tuple.
    kind = Sequence if origin is tuple else origin
    if isinstance(value, (str, bytes)) or not isinstance(value, kind):
        return False
    if isinstance(value, Mapping):
        if not issubclass(origin, Mapping):
            return False
        key_fits, value_fits = fits
        return all(key_fits(key) and value_fits(one) for key, one in value.items())
    if not isinstance(value, (Sequence, AbstractSet)):
        return True
    if len(fits) > 1 and len(fits) != len(value):  # a tuple of so many
        return False
    return all(one(item) for one, item in zip(cycle(fits), value, strict=False))


def _described(hint: Any) -> str:  # noqa: ANN401 - any type
    """Return a type in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([_described(args[0]), *(one.words for one in args[1:])])
    if origin in (Literal, Union, UnionType):
        return " or ".join(map(repr if origin is Literal else _described, args))
    if origin is Callable:
        return "a function"
    kind = origin or hint
    if issubclass(kind, Mapping):
        return f"a mapping from {_noun(args[0])} to {_noun(args[1])}"
    is_array = (kind.__module__, kind.__name__) == ("numpy", "ndarray")
    if origin is not None and issubclass(origin, Iterable) and not is_array:
        is_pair = origin is tuple and ... not in args
        parts = ", ".join(map(_described, args if is_pair else ()))
        return f"({parts})" if is_pair else f"a sequence of {_noun(args[0])}"
    name = "NumPy array" if is_array else kind.__name__
    article = "an" if name[0] in "AEIOU" else "a"
    return _NAMES.get(kind) or f"{article} {name}"


def _noun(hint: Any) -> str:  # noqa: ANN401
    """Return a type of items in words, without an article."""
    if get_origin(hint) is Annotated:
        kind, *conditions = get_args(hint)
        return " ".join([_noun(kind), *(one.words for one in conditions)])
    return _described(hint) if get_origin(hint) else str(hint.__name__)


def _advice(described: str, value: object, hint: object) -> str:
    """Return what to write instead, where that is known."""
    if isinstance(value, str) and _fits([value], hint):
        return f" Write [{value!r:.99}]."
    return "".join(f" Write {call}." for name, call in _EXAMPLES.items() if name in described)
