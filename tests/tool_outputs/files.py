"""Tools that list, search and check files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.tool_outputs.recipe import recipe, run, seeded, sized, write

_TREE = ("lib/net", "lib/net/tls", "lib/store", "lib/ui/icons", "lib/ui/fonts", "etc", "var/cache")
_STEMS = ("index", "cache", "table", "worker", "schema", "client", "queue", "render", "theme")


def _tree(folder: Path, each: int) -> None:
    """Files of several folders, some of them with the same names."""
    for i, name in enumerate(_TREE):
        for j in range(each):
            sized(
                folder / name / f"{_STEMS[j % 9]}{j // 9 or ''}.dat", 100 + 977 * (i + j), 3 * i + j
            )


@recipe(
    "ls -l invoices",
    "How big is the archive with the bills of September 2026?",
    r"^-rw.* 48213 .* 2026-09\.zip",
)
def _ls_l(folder: Path) -> None:
    for year in range(2018, 2027):
        for month in range(1, 13):
            size = 48_213 if (year, month) == (2026, 9) else 30_000 + 131 * month + year
            sized(folder / f"invoices/{year}-{month:02}.zip", size, (year - 2018) * 12 + month)


@recipe(
    "ls -lR",
    "When was the private key of the web server replaced?",
    r"^\./lib/net/tls:",
    r"^-rw.* server\.pem$",
)
def _ls_l_of_a_tree(folder: Path) -> None:
    _tree(folder, 14)
    sized(folder / "lib/net/tls/server.pem", 1704, 130)
    sized(folder / "etc/server.conf", 950, 20)


@recipe("find .", "Where is the bold font installed?", r"^\./lib/ui/fonts/LibreBodoni-Bold\.ttf")
def _find(folder: Path) -> None:
    _tree(folder, 25)
    for name in ("Inter-Regular", "Inter-Italic", "LibreBodoni-Bold", "FiraCode-Light"):
        sized(folder / f"lib/ui/fonts/{name}.ttf", 10, 1)


_NAMES = ("orders", "customers", "parcels", "refunds", "vouchers", "mails", "reports", "payments")


def _modules(folder: Path) -> None:
    draw = seeded(2)
    for name in _NAMES:
        body = "".join(
            f"\n\ndef {verb}_{name}(session, limit={draw.randrange(5, 90)}):\n"
            f'    """Returns {name} that match, newest first."""\n'
            f"    timeout = settings.timeout or {draw.randrange(5, 60)}\n"
            f"    return session.query('{name}', limit, timeout=timeout)\n"
            for verb in ("list", "find", "merge", "archive")
        )
        write(folder, {f"shop/{name}/service.py": f"from shop import settings{body}"})
    extra = "\n\ndef charge(card):\n"
    extra += "    return gateway.post('/charge', card, timeout=settings.slow_timeout * 3)\n"
    path = folder / "shop/payments/service.py"
    path.write_text(path.read_text() + extra)


@recipe(
    "grep -rn timeout .",
    "How long may charging a credit card take?",
    r"^\./shop/payments/service\.py:\d+: .*'/charge', card, timeout=settings\.slow_timeout \* 3\)",
)
def _grep_n(folder: Path) -> None:
    _modules(folder)


@recipe(
    "grep -rn -B 3 -A 1 'return session' .",
    "Which seconds does archiving vouchers fall back to?",
    r"^\./shop/vouchers/service\.py-\d+-def archive_vouchers.*",
    r"(?<=archive_vouchers)(?:.*\n){2}(\./.*timeout or \d+)",
)
def _grep_with_context(folder: Path) -> None:
    _modules(folder)


@recipe(
    "du -ah --apparent-size var",
    "How much room do the previews of videos take?",
    r"^\S+\tvar/media/video_previews$",
)
def _du(folder: Path) -> None:
    for i, part in enumerate(("photos", "photo_thumbnails", "video_previews", "sounds", "mail")):
        for j in range(22):
            sized(folder / f"var/media/{part}/{part[:3]}_{j:03}.bin", 1000 * (i + 1) + 613 * j, j)


@recipe(
    "wc -l src/*/*.py",
    "How long is the module that imports customers?",
    r"^ *\d+ src/importers/customers\.py",
)
def _wc(folder: Path) -> None:
    draw = seeded(4)
    for part in ("importers", "exporters", "views", "models", "mailers", "jobs", "checks", "api"):
        for name in (*_NAMES, "common", "errors", "helpers"):
            sized(folder / f"src/{part}/{name}.py", draw.randrange(20, 900), 1)


@recipe(
    "stat deploy/*",
    "Who can read the deploy key, and when did it change last?",
    r"^  File: deploy/id_ed25519",
    r"^Access: \(0640/-rw-r-----\).*",
    r"^Modify: 2026-04-17 .*",
)
def _stat(folder: Path) -> None:
    for i in range(14):
        sized(folder / f"deploy/step_{i:02}.sh", 200 + 31 * i, i)
    sized(folder / "deploy/id_ed25519", 411, 106)
    run("chmod 644 deploy/* && chmod 640 deploy/id_ed25519", folder)


@recipe(
    "tar -tvf backup.tar",
    "Is a dump of the database in the backup, and from which day?",
    r"^-rw.* 2026-05-11 .* srv/pg/nightly\.sql\.gz",
)
def _tar(folder: Path) -> None:
    _tree(folder / "srv", 14)
    sized(folder / "srv/pg/nightly.sql.gz", 70_412, 130)
    sized(folder / "srv/pg/postgresql.conf", 812, 7)
    run("tar --sort=name --owner=deploy --group=www-data -cf backup.tar srv", folder)


@recipe(
    "python -m zipfile -l site.zip",
    "Which picture in the archive is the logo?",
    r"^img/brand/logo-dark\.svg .*",
)
def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "site.zip", "w") as archive:
        for i in range(90):
            part = ("img/products", "img/team", "css", "js/vendor")[i % 4]
            info = zipfile.ZipInfo(f"{part}/file_{i:03}.bin", (2026, 3, 1 + i % 28, 9, i % 60, 0))
            archive.writestr(info, b"x" * (100 + 37 * i))
            if i == 51:
                archive.writestr(zipfile.ZipInfo("img/brand/logo-dark.svg"), "<svg/>")


@recipe(
    "sha256sum -c SUMS",
    "Is any of the downloaded parts damaged?",
    r"^data/part-037\.bin: FAILED",
)
def _checksums(folder: Path) -> None:
    for i in range(140):
        sized(folder / f"data/part-{i:03}.bin", 10 + i, 1)
    run("sha256sum data/* > SUMS", folder)
    write(folder, {"data/part-037.bin": "other"})


@recipe(
    "file uploads/*",
    "Which upload is not really a picture?",
    r"^uploads/holiday_41\.png: +(?:HTML|PHP).*",
)
def _file(folder: Path) -> None:
    (folder / "uploads").mkdir()
    for i in range(70):
        size = (640 + i).to_bytes(4, "big") + (480 + i).to_bytes(4, "big")
        data = (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + size + b"\x08\x02\x00\x00\x00" + b"\x00" * 40
        )
        if i == 41:
            data = b"<!DOCTYPE html>\n<html><script>fetch('/me')</script></html>\n"
        (folder / f"uploads/holiday_{i:02}.png").write_bytes(data)


@recipe(
    "xxd firmware.bin",
    "Which server does the firmware report to?",
    r"^[0-9a-f]{8}: .*telemetry\.acme.*",
)
def _hex_dump(folder: Path) -> None:
    data = bytearray(seeded(6).randbytes(16 * 90))
    data[16 * 57 : 16 * 58] = b"telemetry.acme\0\0"
    (folder / "firmware.bin").write_bytes(data)
