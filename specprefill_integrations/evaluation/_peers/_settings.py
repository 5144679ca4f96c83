"""What peers are built with. Imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from specprefill_integrations.evaluation._draft_choice import DraftChoice
from specprefill_integrations.pipeline._token_counting import CountTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """What all peers share, so that they are measured alike."""

    count_tokens: CountTokens
    """Counts the tokens that fractions are of."""

    draft: DraftChoice = field(default_factory=DraftChoice)
    """The language model of those that need one."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Folders or hub ids of weights that come with no package, by what needs them."""

    trust_remote_code: bool = False
    """Whether code that comes with such weights may run."""

    def weights_of(self, name: str) -> str:
        """Where the weights of a peer lie.

        Raises:
            FileNotFoundError: Nobody said so.
        """
        if name not in self.models:
            msg = f"no weights at hand; name them: --peer-model {name}=FOLDER_OR_HUB_ID"
            raise FileNotFoundError(msg)
        return self.models[name]
