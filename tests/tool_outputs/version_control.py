"""Git, and tools that compare and patch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.tool_outputs.recipe import recipe, run, seeded, write

_PEOPLE = ("Ada Byron", "Grace Hopper", "Linus Berg", "Mei Tanaka", "Omar Haddad")
_VERBS = ("Fix", "Rename", "Speed up", "Document", "Test", "Simplify", "Move", "Clean up")
_THINGS = (
    "the cart's totals", "login by mail", "the export of invoices", "paging of search results",
    "the stock counter", "retries of the mailer", "the address form", "currency symbols",
    "thumbnails", "the nightly report", "session cookies", "the parcel tracker",
)  # fmt: skip


def _commit(number: int, subject: str, files: Mapping[str, str]) -> str:
    """A commit for `git fast-import`; author and date depend on the number."""
    name = _PEOPLE[number * 7 % len(_PEOPLE)]
    seconds = 1_767_600_000 + number * 90_061
    who = f"{name} <{name.split()[0].lower()}@example.org> {seconds} +0000"
    message = f"{subject}\n\nSee ticket {1000 + number}.\n"
    changes = "".join(
        f"M 644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()
    )
    start = f"commit refs/heads/main\nmark :{number + 1}\nauthor {who}\ncommitter {who}\n"
    return f"{start}data {len(message)}\n{message}\n{changes}\n"


def _import(folder: Path, stream: Iterable[str]) -> None:
    """Make a repository of a stream for `git fast-import` and check out its branch `main`."""
    run("git init -q -b main && git fast-import --quiet", folder, "".join(stream))
    run("git reset -q --hard main", folder)


def _history(folder: Path, commits: int, special: Mapping[int, str]) -> None:
    """A repository with commits to a few files; `special` gives subjects of some commits."""
    draw = seeded(15)
    stream = []
    for number in range(commits):
        subject = f"{draw.choice(_VERBS)} {draw.choice(_THINGS)}"
        name = f"src/{draw.choice(('cart', 'mail', 'stock', 'views'))}/{draw.choice('abcdef')}.py"
        files = {name: "".join(f"value_{i} = {draw.random()}\n" for i in range(9))}
        if number in special:
            files["migrations/0007_split_names.sql"] = f"-- {number}\n"
        stream.append(_commit(number, special.get(number, subject), files))
    _import(folder, stream)


@recipe(
    "git log",
    "When was the VAT rounding changed, and who did it?",
    r"^commit \w+(?=\nAuthor: .*\nDate: .*\n\n    Round tax half up)",
    r"^Author: .*(?=\nDate: .*\n\n    Round tax half up)",
    r"^Date: .*(?=\n\n    Round tax half up)",
    r"^    Round tax half up, as the law wants it",
)
def _git_log(folder: Path) -> None:
    _history(folder, 40, {17: "Round tax half up, as the law wants it"})


@recipe(
    "git log --oneline",
    "Which commit removed support for the old coupon codes?",
    r"^\w{7,} Drop legacy vouchers",
    works="command -v git",
)
def _git_log_in_lines(folder: Path) -> None:
    _history(folder, 100, {64: "Drop legacy vouchers"})


@recipe(
    "git log --stat --format=medium",
    "Which commit touched the database migration?",
    r"^commit \w+(?=\nAuthor: .*\nDate: .*\n\n    Store given and family names apart)",
    r"^ migrations/0007_split_names\.sql +\| +1 \+",
)
def _git_log_with_files(folder: Path) -> None:
    _history(folder, 26, {9: "Store given and family names apart"})


@recipe(
    "git blame src/client.py",
    "Who decided that a failed request is tried again, and since when?",
    r"^\^?\w+ .*RETRIES = 7$",
)
def _git_blame(folder: Path) -> None:
    draw = seeded(3)
    stream = []
    lines = [f"OPTION_{name.upper().replace(' ', '_')} = {i}" for i, name in enumerate(_THINGS)]
    lines += [f"def step_{i}(session):\n    return session.get(PATHS[{i}])" for i in range(28)]
    for number in range(12):
        lines[draw.randrange(len(lines))] += f"  # since {number}"
        if number == 5:
            lines.insert(21, "RETRIES = 7")
        stream.append(_commit(number, "Step", {"src/client.py": "\n".join(lines) + "\n"}))
    _import(folder, stream)


@recipe(
    "git diff",
    "How long does the HTTP client wait now, and how long was it before?",
    r"^\+\+\+ b/net/client\.py",
    r"^-    timeout: float = 10\.0",
    r"^\+    timeout: float = 45\.0",
)
def _git_diff(folder: Path) -> None:
    names = [f"{part}/{name}.py" for part in ("shop", "net", "jobs") for name in "abcde"]

    def module(name: str, new: str) -> str:
        body = "".join(
            f"\n\ndef part_{i}(order):\n    total = order.sum({i}){new if i == 4 else ''}\n"
            f"    log.debug('part {i} of {name}')\n    return total\n"
            for i in range(8)
        )
        return f"import logging\n\nlog = logging.getLogger('{name}'){body}"

    def client(seconds: str) -> str:
        return (
            f"class Client:\n    base: str\n    timeout: float = {seconds}\n    retries: int = 3\n"
        )

    old = {name: module(name, "") for name in names} | {"net/client.py": client("10.0")}
    _import(folder, [_commit(1, "Start", old)])
    write(
        folder, {name: module(name, " or 0") for name in names} | {"net/client.py": client("45.0")}
    )


@recipe(
    "git status",
    "Did I forget to add the file with the passwords, or is it already tracked?",
    r"^Untracked files:",
    r"^\tdeploy/secrets\.env",
)
def _git_status(folder: Path) -> None:
    names = [f"src/{part}/views.py" for part in ("cart", "mail", "stock")]
    names += [f"src/orders/step_{i:02}.py" for i in range(45)]
    old = dict.fromkeys(names, "old = 1\n") | {"deploy/README": "none\n"}
    _import(folder, [_commit(1, "Start", old)])
    write(folder, dict.fromkeys(names, "new = 2\n"))
    new = [f"src/refunds/step_{i:02}.py" for i in range(4)]
    others = [f"notes/{day}.txt" for day in range(1, 3)]
    write(folder, dict.fromkeys((*new, *others, "deploy/secrets.env"), "x\n"))
    write(folder, {f"tmp_{i:02}.txt": "x\n" for i in range(30)})


@recipe(
    "git branch -vv",
    "What is the tip of Mei's branch for the refund work?",
    r"^  mei/partial-refunds +\w+ .*",
)
def _git_branches(folder: Path) -> None:
    draw = seeded(8)
    things = [thing.split()[-1] for thing in _THINGS]
    names = [
        f"{who.split()[0].lower()}/{thing}-{i}"
        for i in range(5)
        for who in _PEOPLE
        for thing in draw.sample(things, 3)
    ]
    names[44] = "mei/partial-refunds"
    stream = []
    for number, name in enumerate(names):
        stream.append(_commit(number, f"{_VERBS[number % 8]} {_THINGS[number % 12]}", {}))
        stream.append(f"reset refs/heads/{name}\nfrom :{number + 1}\n\n")
    _import(folder, stream)


@recipe(
    "git merge theirs; git status; git diff",
    "Which file has a merge conflict that I have to resolve by hand, and about what?",
    r"^CONFLICT \(content\): Merge conflict in settings/limits\.ini",
    r"\+max_upload = 50M",
    r"max_upload = 20M",
    works="command -v git",
)
def _git_merge(folder: Path) -> None:
    options = "".join(f"option_{i} = {i}\n" for i in range(20))
    names = [f"settings/part_{i:02}.ini" for i in range(40)]

    def commit(number: int, size: int, changed: Mapping[str, str]) -> str:
        limits = {"settings/limits.ini": f"max_upload = {size}M\n{options}"}
        return _commit(number, "Limits", {**changed, **limits})

    start = commit(0, 10, dict.fromkeys(names, options))
    ours = commit(1, 50, dict.fromkeys(names[:25], f"first = yes\n{options}"))
    theirs = commit(2, 20, dict.fromkeys(names, f"{options}added = yes\n"))
    theirs = theirs.replace("refs/heads/main", "refs/heads/theirs").replace(
        "M 644", "from :1\nM 644", 1
    )
    _import(folder, [start, ours, theirs])
    run("git config user.name a; git config user.email a@example.org", folder)


_SETTINGS = "".join(
    f"# What part {i} does\npart_{i}.enabled = yes\npart_{i}.level = {i}\n\n" for i in range(30)
)


@recipe(
    "diff -r -u staging production",
    "Which settings file exists on staging but not in production?",
    r"^Only in staging/conf\.d: rate_limits\.conf",
)
def _diff_of_folders(folder: Path) -> None:
    for place in ("staging", "production"):
        for i in range(9):
            changed = _SETTINGS.replace(
                f"part_{i * 3}.level = {i * 3}", f"part_{i * 3}.level = {len(place)}"
            )
            write(folder, {f"{place}/conf.d/site_{i}.conf": changed})
    write(folder, {"staging/conf.d/rate_limits.conf": "rate = 5\n"})


@recipe(
    "patch --dry-run -p1 -d project < series.diff",
    "Which file of the series does not take its changes?",
    r"^checking file src/module_23\.c",
    r"^Hunk #1 FAILED at \d+\.",
)
def _patch(folder: Path) -> None:
    text = "".join(f"int line_{i} = {i};\n" for i in range(40))
    names = [f"src/module_{i:02}.c" for i in range(60)]
    for number, name in enumerate(names):
        old = text.replace("= 20;", f"= {number};")
        for place, body in (("a", text), ("b", old)):
            write(folder, {f"{place}/{name}": body})
        theirs = (
            text.replace("int", "long") if number == 23 else f"// {name}\n" * (number % 5) + text
        )
        write(folder, {f"project/{name}": theirs})
    run("diff -r -u a b > series.diff", folder)
