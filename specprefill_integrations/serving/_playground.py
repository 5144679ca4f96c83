"""The playground: one local page over the service, to try compression and compare scorers.

Each scorer is an application of its own, as `build_app` makes it, under its name. The page calls
their `/v1/compress`; it keeps nothing, and nothing of it leaves the machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.heat_map._page import TOP_SHARES, csp_hash, render_page
from specprefill_integrations.serving._app import build_app
from specprefill_integrations.serving._limits import ServiceLimits
from specprefill_integrations.types import SkipReason

# A slow draft may read a book; the page shows the time and can cancel.
_LIMITS = ServiceLimits(
    max_body_bytes=32 * 1024 * 1024, max_tokens=4_000_000, deadline_seconds=3600.0
)
_MAX_CHARS = 8_000_000

_QUESTION = "Why was the old lamp replaced, and what did it cost?"

# Without these, a page of elsewhere could send the text to its own host name for this machine.
_HOSTS = ("127.0.0.1", "localhost")

_SEE_LOG = "The text came back whole; the terminal of the playground says why."

REASONS: Mapping[SkipReason, str] = {
    "empty_text": "There is no text.",
    "within_budget": "Nothing was cut: the whole text fits the budget. "
    "Choose a smaller budget or a longer text.",
    "kind_excluded": "Nothing was cut: texts of this kind stay whole.",
    "needs_every_word": "Nothing was cut: the question needs every word of the text, "
    "as for a translation, a count or an exact quotation. Ask something else.",
    "splitter_failed": f"The text could not be split. {_SEE_LOG}",
    "scorer_failed": f"This scorer failed. {_SEE_LOG}",
    "deadline_exceeded": "The draft did not finish within an hour. The text came back whole.",
    "queue_full": "Too many calls wait for the draft. The text came back whole; try again.",
    "counter_failed": f"The tokens could not be counted. {_SEE_LOG}",
    "draft_unavailable": f"The draft could not be loaded. {_SEE_LOG}",
    "service_unavailable": f"The service of this scorer did not answer. {_SEE_LOG}",
    "too_small": "Nothing was cut: the text is too short to save anything.",
    "not_calibrated": "Nothing was cut: the scores of this scorer are not calibrated.",
    "failed": f"Something failed. {_SEE_LOG}",
}
"""Plain words for the reasons of the compressor to pass a text through unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaygroundScorer:
    """A compressor that can be chosen on the page."""

    name: str
    """Its name, which is also its path: letters and digits."""

    about: str
    """A few words about it."""

    compressor: ContextCompressor
    """The compressor."""

    is_chosen: bool = False
    """True if it is chosen at first."""


def build_playground(scorers: list[PlaygroundScorer], *, draft: str) -> Starlette:
    """Build the application. It closes the engines of the scorers when it shuts down.

    Args:
        scorers: The compressors to choose from, in the order of the page.
        draft: The name of the draft whose tokens are counted.
    """
    apps = {one.name: build_app(one.compressor, api_keys=None, limits=_LIMITS) for one in scorers}
    page = _page(scorers, draft)

    async def show(request: Request) -> HTMLResponse:
        del request
        return HTMLResponse(page.html, headers=page.headers)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        async with AsyncExitStack() as stack:
            for inner in apps.values():
                await stack.enter_async_context(inner.router.lifespan_context(inner))
            yield

    return Starlette(
        routes=[Route("/", show), *(Mount(f"/{name}", inner) for name, inner in apps.items())],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS))],
        lifespan=lifespan,
    )


@dataclass(frozen=True, slots=True)
class _Page:
    html: str
    headers: Mapping[str, str]


def _page(scorers: list[PlaygroundScorer], draft: str) -> _Page:
    style = render_page("serving/playground.css.j2")
    script = render_page("serving/playground.js")
    settings = {
        "draft": draft,
        "example": {"text": render_page("serving/playground_example.txt"), "query": _QUESTION},
        "maxChars": _MAX_CHARS,
        "reasons": REASONS,
        "shares": TOP_SHARES,
        "styleHash": csp_hash(style),
    }
    html = render_page(
        "serving/playground.html.j2",
        scorers=scorers,
        draft=draft,
        settings=settings,
        style=style,
        script=script,
    )
    policy = (
        f"default-src 'none'; style-src '{csp_hash(style)}'; script-src '{csp_hash(script)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return _Page(
        html,
        {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
