"""An encoder that classifies tokens: its weights, its positions and the meaning of its classes.

Knows nothing about questions or windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from specprefill_integrations.errors import DraftModelError, DraftModelUnsupportedError
from specprefill_integrations.scoring import _draft_loading as loading
from specprefill_integrations.scoring._draft_location import THREE_WAYS, GgufModel
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._gguf_cache import Loaded

# Names that mean "relevant", of one of two classes.
_POSITIVE = {
    *("1", "TRUE", "YES", "POSITIVE", "KEEP", "KEPT", "RELEVANT", "HIGHLIGHT"),
    *("ANS", "ANSWER", "EVIDENCE", "SUPPORT", "SUPPORTING"),
}
# The class of tokens outside of all spans, where classes mark the parts of spans.
_OUTSIDE = "O"


_TWO_WAYS = "Name a hub id, or a folder in transformers' format."


@contextmanager
def errors_of_encoders() -> Iterator[None]:
    """Let the errors of drafts speak of an encoder."""
    try:
        yield
    except DraftModelError as error:
        told = str(error).replace(THREE_WAYS, _TWO_WAYS).replace("draft model", "encoder", 1)
        failure = type(error)(told)
        failure.may_pass = error.may_pass
        raise failure from None


class EncoderModel(DraftModel):
    """A token classifier and its tokenizer, loaded and shared as any draft."""

    @property
    def max_positions(self) -> int | None:
        """Maximum tokens of an input, special tokens included; None if nothing sets a limit."""
        limits = [
            super().max_positions,
            getattr(self.tokenizer, "model_max_length", None),
            _position_rows(self.model),
        ]
        return min((limit for limit in limits if limit), default=None)

    @property
    def has_token_types(self) -> bool:
        """True if the model tells the question from the text by token types."""
        wanted = getattr(self.tokenizer, "model_input_names", ())
        return "token_type_ids" in wanted and getattr(self.config, "type_vocab_size", 0) > 1

    @property
    def pad_id(self) -> int:
        """The token id of padding."""
        found = (self.tokenizer.pad_token_id, getattr(self.config, "pad_token_id", None))
        return next((int(one) for one in found if one is not None), 0)

    def positive_classes(self, label: str | int | None) -> tuple[int, ...]:
        """Return the classes that mean "relevant"; none if the model has one class only.

        Args:
            label: The name or the index of the class; None to go by the names in the config.

        Raises:
            DraftModelUnsupportedError: There is no such class, or the names do not tell.
        """
        if isinstance(label, int):
            return (label,)
        names = {int(index): str(name) for index, name in self.config.id2label.items()}
        found = _relevant(names) if label is None else _named(label, names)
        if found is None:
            asked = "" if label is None else f"not {label!r}, "
            msg = (
                f"The encoder {self.name!r} has the classes {_listed(names)}, {asked}"
                'and it must be clear which one means "relevant": name it, '
                f"positive_label={max(names)} or positive_label={names[max(names)]!r}."
            )
            raise DraftModelUnsupportedError(msg)
        return found

    def log_odds(
        self, inputs: dict[str, Tensor], output_name: str, label: str | int | None
    ) -> Tensor:
        """Run the model and return the log-odds of the relevant class for each token.

        Args:
            inputs: The inputs of the model. Shape of each: (batch, tokens).
            output_name: The name of the logits in its output.
                Shape: (batch, tokens), or (batch, tokens, classes).
            label: See `positive_classes`.

        Returns:
            Still on the device. Shape: (batch, tokens).

        Raises:
            DraftModelUnsupportedError: There are no such logits, or no such class.
        """
        model = self.model
        with self.lock, torch.inference_mode():
            output = model(**inputs)
            shape = inputs["input_ids"].shape
            return self._log_odds(output, shape, output_name, label)

    def _log_odds(
        self,
        output: Any,  # noqa: ANN401
        shape: torch.Size,
        output_name: str,
        label: str | int | None,
    ) -> Tensor:
        """Return the log-odds in an output for inputs of a shape."""
        found = getattr(output, output_name, None)
        if not isinstance(found, Tensor) or found.ndim not in {2, 3} or found.shape[:2] != shape:
            names = ", ".join(map(repr, getattr(output, "keys", tuple)()))
            msg = (
                f"The encoder {self.name!r} gives no {output_name!r} with numbers for each token; "
                f"its output has {names or 'no names'}: choose with output_name=."
            )
            raise DraftModelUnsupportedError(msg)
        logits: Tensor = found.float().reshape(*shape, -1)  # (batch, tokens, classes)
        count = logits.shape[-1]
        if count == 1:
            return logits[..., 0]  # (batch, tokens)
        positive = self.positive_classes(label)
        is_named = isinstance(label, int) or len(self.config.id2label) == count
        if not is_named or max(positive) >= count:
            msg = (
                f"The encoder {self.name!r} gives {count} numbers for each token, and which of "
                'them means "relevant" is not known: name its index, from positive_label=0 to '
                f"positive_label={count - 1}."
            )
            raise DraftModelUnsupportedError(msg)
        negative = sorted(set(range(count)) - set(positive))
        # Views rather than indexing by a list, which would be copied to the device.
        each = logits.unbind(dim=-1)
        relevant: Tensor = torch.stack([each[one] for one in positive]).logsumexp(dim=0)
        other: Tensor = torch.stack([each[one] for one in negative]).logsumexp(dim=0)
        return relevant - other  # (batch, tokens)

    def _part(self, name: str, load: Callable[[], Any]) -> Any:  # noqa: ANN401
        with errors_of_encoders():
            return super()._part(name, load)

    def _load_weights(self, folder: Path) -> Any:  # noqa: ANN401
        return loading.load_token_classifier(
            folder, self.dtype, trust_remote_code=self.trust_remote_code
        )

    def _find_place(self) -> Path | Loaded:
        if isinstance(self._location, GgufModel):
            msg = f"The encoder {self.name!r} is a GGUF file, which holds no token classifier."
            raise DraftModelUnsupportedError(msg)
        return super()._find_place()


def _named(label: str, names: dict[int, str]) -> tuple[int, ...] | None:
    """Return the class of a name; None if there is none, or more than one."""
    found = tuple(index for index, name in names.items() if name.upper() == label.upper())
    return found if len(found) == 1 else None


def _relevant(names: dict[int, str]) -> tuple[int, ...] | None:
    """Return the classes whose names mean "relevant"; None if that is not clear."""
    upper = {index: name.upper() for index, name in names.items()}
    if len(upper) == 1:
        return ()
    inside = {index: name for index, name in upper.items() if name != _OUTSIDE}
    if len(inside) < len(upper):
        kinds = {name.partition("-")[2] or name for name in inside.values()}
        return tuple(inside) if len(kinds) == 1 else None
    found = tuple(index for index, name in upper.items() if name in _POSITIVE)
    return found if len(upper) == 2 and len(found) == 1 else None  # noqa: PLR2004


def _listed(names: dict[int, str]) -> str:
    most = 6
    shown = ", ".join(repr(name) for name in list(names.values())[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _position_rows(model: nn.Module) -> int | None:
    """Return the usable rows of a table of absolute positions; None if there is no table.

    Models of RoBERTa's family count positions from behind the row of padding.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            padding = module.padding_idx
            return module.num_embeddings - (0 if padding is None else padding + 1)
    return None
