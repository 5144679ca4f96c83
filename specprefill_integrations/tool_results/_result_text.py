"""The texts of a result as one text: they share a budget, gap markers and a reference."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.splitting._blocks import BETWEEN_BLOCKS, BlockSplitter
from specprefill_integrations.splitting._splitter import SplitterChoice
from specprefill_integrations.tool_results._result import ToolResult
from specprefill_integrations.types import Budget, Compression, SkipReason, TextHint

# So many texts of one line each are of one kind: that of all of them together, which tells more
# than a single line.
_LEAST_ROWS = 8


@dataclass(frozen=True, slots=True)
class ShownTexts:
    """The texts that a model sees of a result."""

    texts: tuple[str | None, ...]
    """Each text; None for one that is left out."""

    cut_tokens: int
    """Tokens of those that were to be cut."""

    tokens: int
    """Tokens of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultText:
    """The texts of a result that are cut, as one text."""

    texts: Sequence[str]
    """All texts of the result."""

    tokens: Sequence[int]
    """Tokens of each."""

    cut: Sequence[int]
    """Indices of those that are cut."""

    compressor: ContextCompressor
    """The compressor for `text`."""

    splitter: BlockSplitter | None = None
    """Its splitter; None if `text` is only one of the texts."""

    @classmethod
    def of(  # noqa: PLR0913 - all that a call knows
        cls,
        result: ToolResult,
        tokens: Sequence[int],
        query: str | None,
        *,
        compressor: ContextCompressor,
        budget: Budget,
        hint: TextHint,
    ) -> ResultText | SkipReason:
        """Join the texts; or return why none of them is to be cut.

        Args:
            result: The result; at least one of its texts is not blank.
            tokens: Tokens of each.
            query: The question.
            compressor: The compressor of the result.
            budget: The budget.
            hint: What is known of all texts.

        Raises:
            Exception: The splitter's own.
        """
        texts = result.texts
        filled = [index for index, text in enumerate(texts) if text.strip()]
        if len(filled) == 1:
            return cls(texts=texts, tokens=tokens, cut=filled, compressor=compressor)
        stages = compressor.stages
        rows = [encodable(texts[index]) for index in filled]
        if hint.kind is None and len(rows) >= _LEAST_ROWS and not any(map(_has_lines, rows)):
            hint = replace(hint, kind=stages.splitter.for_text("\n".join(rows), hint).kind)
        # A number of tokens is a promise, so it overrides the rule.
        rule = stages.leave_whole if budget.max_tokens is None else None
        choices: dict[int, SplitterChoice] = {}
        reason: SkipReason = "kind_excluded"
        for index in filled:
            choice = stages.splitter.for_text(encodable(texts[index]), hint)
            if rule is not None and rule(query, choice.kind):
                reason = "needs_every_word"
            elif choice.splitter is not None:
                gaps = stages.gaps or choice.gaps
                choices[index] = replace(choice, gaps=gaps)
        if not choices:
            return reason
        stays = set(filled).difference(choices)
        breaks = {*result.breaks, *stays, *(index + 1 for index in stays)}
        splitter = BlockSplitter.of(
            [encodable(texts[index]) for index in choices],
            [*choices.values()],
            breaks=[bisect_left(list(choices), index) for index in breaks],
        )
        return cls(
            texts=texts,
            tokens=tokens,
            cut=[*choices],
            compressor=compressor.replace(splitter=splitter),
            splitter=splitter,
        )

    @property
    def text(self) -> str:
        """The text to compress."""
        return BETWEEN_BLOCKS.join(self.texts[index] for index in self.cut)

    @property
    def original(self) -> str:
        """All texts, for the store."""
        return BETWEEN_BLOCKS.join(text for text in self.texts if text.strip())

    @property
    def cut_tokens(self) -> int:
        """Tokens of the texts that are cut."""
        return sum(self.tokens[index] for index in self.cut)

    def shown(self, result: Compression, reference: str | None) -> ShownTexts:
        """Return what is shown of each text.

        Args:
            result: The result for `text`.
            reference: The reference in its first gap marker.
        """
        parts: list[str | None] = [result.text]
        tokens = [result.kept_tokens]
        if self.splitter is not None:
            parts = self.splitter.written(self.text, result.kept, reference)
            tokens = count_texts([part for part in parts if part is not None], self.compressor)
        texts: list[str | None] = list(self.texts)
        for index, part in zip(self.cut, parts, strict=True):
            texts[index] = part
        whole_tokens = sum(self.tokens) - self.cut_tokens
        return ShownTexts(tuple(texts), sum(tokens), whole_tokens + sum(tokens))


def _has_lines(text: str) -> bool:
    return "\n" in text.strip()


def count_texts(texts: Sequence[str], compressor: ContextCompressor) -> list[int]:
    """Count the tokens of each text; lone surrogates, which no tokenizer encodes, included."""
    return count_each(compressor.count_tokens, [encodable(text) for text in texts])
