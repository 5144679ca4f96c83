"""`specprefill playground`: a local page to try compression and compare scorers."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from specprefill_integrations.cli._options import (
    Debug,
    Device,
    Draft,
    Dtype,
    Quiet,
    Revision,
    check_revision,
    known_name,
)
from specprefill_integrations.cli._progress import working
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    new_app,
    printable,
    quiet_libraries,
)
from specprefill_integrations.compressor import ContextCompressor

app = new_app()

_HOST = "127.0.0.1"

ABOUT = {
    "readout": "the attention of the draft, fitted to evidence",
    "published": "the published SpecPrefill algorithm; reads slowly",
    "words": "the words of the question, without the draft",
    "bm25": "keyword search",
    "random": "chance, for comparison",
}
"""The scorers that can be chosen, and what they do."""

_DEFAULT = ["readout", "words", "bm25", "random"]
_CHOSEN = {"readout", "bm25"}


@app.command()
def playground(  # noqa: PLR0913 - one parameter per option
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = 8010,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the web browser.")
    ] = False,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"A scorer to offer: {', '.join(ABOUT)}; can be repeated. "
            f"Default: {', '.join(_DEFAULT)}.",
        ),
    ] = None,
    draft: Draft = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Try compression on a page that this process serves, to this machine alone.

    Paste a text, ask, drag the budget, and compare scorers side by side. Ctrl-C ends it.
    """
    check_revision(draft, revision)
    names = list(dict.fromkeys(known_name(name, [*ABOUT]) for name in scorer or _DEFAULT))
    with clear_errors(debug=debug), quiet_libraries(debug=debug), _listening(port) as bound:
        # Imported here, so that `--help` is quick and needs no extra.
        from specprefill_integrations.serving._playground import (  # noqa: PLC0415
            PlaygroundScorer,
            build_playground,
        )
        from specprefill_integrations.serving._server import server_of  # noqa: PLC0415

        with working(f"loading {draft or 'the draft'}", quiet=quiet):
            build = partial(
                ContextCompressor.from_draft_model,
                draft,
                device=device,
                dtype=dtype,
                revision=revision,
            )
            like = build()
            model = getattr(like.scorer.unwrapped, "reading_draft", None)
            if model is not None:
                model.load()
        service = build_playground(
            [
                PlaygroundScorer(
                    name=name,
                    about=ABOUT[name],
                    compressor=_compressor(name, like, build),
                    is_chosen=len(names) == 1 or name in _CHOSEN,
                )
                for name in names
            ],
            draft=getattr(model, "name", type(like.scorer.unwrapped).__name__),
        )
        url = f"http://{_HOST}:{bound.getsockname()[1]}/"
        typer.echo(printable(f"Playground on {url} (Ctrl-C ends it)"), err=True)
        if open_page:  # on a thread: a browser in the terminal returns when it ends
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server_of(service, host=_HOST, port=port).run(sockets=[bound])


def _compressor(
    name: str, like: ContextCompressor, build: Callable[..., ContextCompressor]
) -> ContextCompressor:
    """Return the compressor of a scorer, with the token counter of the draft."""
    from specprefill_integrations.evaluation._baselines import BASELINES  # noqa: PLC0415

    if name == "readout":
        return like
    if name == "published":
        return build(scorer="published")
    return like.replace(scorer=BASELINES[name](like.count_tokens))


def _listening(port: int) -> socket.socket:
    """Return a socket that callers of this machine can connect to."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
        bound.listen()
    except OSError as error:
        bound.close()
        fail(f"--port {port}: {error.strerror}", USAGE_ERROR)
    return bound
