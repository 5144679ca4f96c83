"""Python's own tools, and those that this project is developed with."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.tool_outputs.recipe import recipe, write

_ZONES = ("north", "south", "east", "west", "islands")


@recipe(
    "python -m nightly",
    "Which file was missing, and which code tried to read it?",
    r"^FileNotFoundError: .*'rates/2026-03\.json'",
    r'File ".*rates\.py", line \d+, in load_month',
)
def _traceback(folder: Path) -> None:
    steps = "\n".join(
        f"def step_{i}(job):\n    log = [job, {i}]\n    return step_{i + 1}(log)\n"
        for i in range(18)
    )
    wrapped = "def step_18(job):\n    try:\n        return rates.load_month('2026-03')\n"
    wrapped += (
        "    except OSError as error:\n        raise RuntimeError('no rates today') from error\n"
    )
    write(
        folder,
        {
            "rates.py": "import pathlib\n\n\ndef load_month(month):\n"
            "    return pathlib.Path(f'rates/{month}.json').read_text()\n",
            "nightly.py": f"import rates\n\n\n{steps}\n{wrapped}\n\nstep_0('prices')\n",
        },
    )


@recipe(
    "python -m pytest -v -p no:cacheprovider test_shop.py",
    "What does shipping to the islands cost by the code, and what should it?",
    r"test_cost_of_a_zone\[islands-3-30\]",
    r"AssertionError: assert 24 == 30",
)
def _pytest(folder: Path) -> None:
    source = """
    import pytest

    RATES = {"north": 4, "south": 5, "east": 6, "west": 7, "islands": 8}


    def cost(zone, weight):
        return RATES[zone] * weight


    @pytest.mark.parametrize("weight", range(1, 11))
    @pytest.mark.parametrize("zone", RATES)
    def test_cost_grows(zone, weight):
        assert cost(zone, weight) < cost(zone, weight + 1)


    @pytest.mark.parametrize(
        ("zone", "weight", "due"), [("north", 3, 12), ("islands", 3, 30), ("west", 2, 14)]
    )
    def test_cost_of_a_zone(zone, weight, due):
        assert cost(zone, weight) == due


    def test_unknown_zone():
        assert cost("moon", 1) is None


    def test_rounding():
        assert round(2.675, 2) == 2.68
    """
    write(folder, {"test_shop.py": source})


@recipe(
    "python -m unittest -v",
    "Why did the test of expired vouchers break?",
    r"^(?:ERROR|FAIL): test_expired_voucher_is_refused .*",
    r"^AssertionError: VoucherError not raised",
)
def _unittest(folder: Path) -> None:
    others = "\n".join(
        f"    def test_{zone}_{what}(self):\n        self.assertTrue('{zone}')\n"
        for zone in _ZONES
        for what in ("adds", "removes", "lists", "sorts", "exports", "imports", "renames", "counts")
    )
    failing = """
    def test_expired_voucher_is_refused(self):
        with self.assertRaises(VoucherError):
            redeem("SPRING25")

    def test_stock_after_return(self):
        self.assertEqual({"hats": 3, "gloves": 4}, {"hats": 3, "gloves": 5})

    def test_mail_subject(self):
        self.assertEqual("Your order 7 has left", "Your order 7 has left us")
"""
    head = "import unittest\n\n\nclass VoucherError(Exception):\n    pass\n\n\n"
    head += "def redeem(code):\n    return code\n\n\nclass ShopTest(unittest.TestCase):\n"
    write(folder, {"test_shop.py": f"{head}{others}{failing}"})


@recipe(
    "python -m doctest -v tax.py",
    "Which example in the documentation is wrong, and what comes out instead?",
    r"^ +gross\(100, 7\)",
    r"^Got:\n( +107\.0)",
)
def _doctest(folder: Path) -> None:
    functions = "\n".join(
        f'def add_{i}(value):\n    """Adds {i}.\n\n    >>> add_{i}(3)\n    {i + 3}\n'
        f'    >>> add_{i}(-{i})\n    0\n    """\n    return value + {i}\n'
        for i in range(1, 26)
    )
    wrong = 'def gross(net, percent):\n    """Adds the tax.\n\n    >>> gross(100, 7)\n    107\n'
    wrong += '    """\n    return net * (100 + percent) / 100\n'
    write(folder, {"tax.py": f"{functions}\n{wrong}"})


def _untidy(folder: Path) -> None:
    for part in ("cart", "stock", "mail", "tax", "refund", "search", "login", "export"):
        functions = "\n".join(
            f"def {part}_{i}(items=[]):\n    unused_{i} = {i}\n"
            f"    if items == None:\n        return not items is True\n"
            f"    l = [x for x in items]\n    return l\n"
            for i in range(3)
        )
        extra = {
            "refund": "def due(order):\n    return order.total - already_payed\n",
            "search": "def find(session, name):\n"
            "    return session.execute(f\"SELECT * FROM people WHERE name = '{name}'\")\n",
        }.get(part, "")
        write(folder, {f"shop/{part}.py": f"import os, sys\nimport json\n\n\n{functions}\n{extra}"})


@recipe(
    "ruff check --no-cache --output-format grouped --select E,F,B",
    "Which module uses a name that isn't defined anywhere?",
    r"^shop/refund\.py:",
    r".*F821 Undefined name `already_payed`",
)
def _ruff_by_file(folder: Path) -> None:
    _untidy(folder)


@recipe(
    "ruff check --no-cache --output-format full --select F,S shop/{cart,search,tax}.py",
    "Could someone inject SQL, and where?",
    r"^S608 Possible SQL injection.*",
    r"^ +--> shop/search\.py:\d+:\d+(?=\n(?:.*\n){2,4}.*SELECT)",
)
def _ruff_in_full(folder: Path) -> None:
    _untidy(folder)


@recipe(
    "mypy --strict --no-incremental --cache-dir /dev/null shop",
    "Where is a customer passed although an order is expected?",
    r'^shop/parcel\.py:\d+: error: Argument 1 to "ship" has incompatible type "Customer"',
)
def _mypy(folder: Path) -> None:
    for part in ("cart", "stock", "tax", "parcel"):
        functions = "\n".join(
            f"def {part}_{i}(items, limit: int = None):\n    total: str = len(items)\n"
            f"    return total + limit\n\n\n{part}_{i}([])\n"
            for i in range(3)
        )
        extra = "class Order: ...\n\n\nclass Customer: ...\n\n\n"
        extra += "def ship(order: Order) -> None: ...\n\n\nship(Customer())\n"
        write(folder, {f"shop/{part}.py": functions + (extra if part == "parcel" else "")})


@recipe(
    "python -X importtime -c 'import argparse, logging, json, email.message'",
    "How many microseconds does loading the regular expression engine take?",
    r"^import time: +\d+ \| +\d+ \| +re$",
)
def _import_times(folder: Path) -> None:
    """Need no file."""


@recipe(
    "python -m cProfile -s cumtime bill.py | head -n 120",
    "How much time goes into parsing the lines of the file?",
    r"^ +\d+ .* bill\.py:\d+\(parse_line\)",
)
def _profile(folder: Path) -> None:
    source = """
    import argparse
    import csv
    import decimal
    import json
    import logging.config


    def parse_line(line):
        return [decimal.Decimal(part) for part in line.split(",")]


    def read(rows):
        return [parse_line(row) for row in rows]


    logging.config.dictConfig({"version": 1})
    argparse.ArgumentParser().parse_args([])
    data = read(f"{i},{i * 3}" for i in range(400))
    json.dumps([[str(one) for one in row] for row in data])
    """
    write(folder, {"bill.py": source})


@recipe(
    "python -m trace --count --summary --missing -C counts --ignore-module _distutils_hack main.py",
    "Which of our modules is tested least?",
    r"^ +\d+ +\d+% +\S*\brefunds +.*",
)
def _coverage(folder: Path) -> None:
    names = [f"part_{i:02}" for i in range(55)]
    names.insert(20, "refunds")
    for name in names:
        unused = 30 if name == "refunds" else 2
        body = "".join(f"    given += {i}\n" for i in range(unused))
        write(
            folder,
            {f"{name}.py": f"def add(given):\n{body}    return given\n\n\nVALUE = 1\nOTHER = 2\n"},
        )
    calls = "".join(f"{name}.add(1)\n" for name in names if name != "refunds")
    write(folder, {"main.py": "".join(f"import {name}\n" for name in names) + calls})


@recipe(
    "python -m pydoc textwrap",
    "How do I stop it from splitting words like top-level at the hyphen?",
    r"^.*break_on_hyphens \(default: true\)",
    r"^.*Allow breaking hyphenated words\. If true, wrapping will occur",
)
def _pydoc(folder: Path) -> None:
    """Need no file."""


@recipe(
    "python -m pip list",
    "Which release of the testing framework is installed?",
    r"^pytest +\d\S*",
    works="python -m pip --version",
)
def _pip_list(folder: Path) -> None:
    """Need no file."""


@recipe(
    "python -m pip show --files typer",
    "Does it bring type hints for type checkers?",
    r"^ +typer/py\.typed",
    works="python -m pip show typer",
)
def _pip_show(folder: Path) -> None:
    """Need no file."""


@recipe(
    "python -m pip install --dry-run --no-index --find-links wheels -r requirements.txt",
    "Which two of my requirements contradict each other?",
    r"shop-mail 2\.0 depends on shop-core<2",
    r"shop-web 3\.1 depends on shop-core>=2",
    works="python -m pip --version",
)
def _pip_conflict(folder: Path) -> None:
    parts = [f"shop-part{i:02}" for i in range(45)]
    wheels = dict.fromkeys(parts, ("1.0", "")) | {
        "shop-mail": ("2.0", "shop-core<2"),
        "shop-web": ("3.1", "shop-core>=2"),
    }
    (folder / "wheels").mkdir()
    made = [(name, *given) for name, given in wheels.items()]
    for name, version, needs in [*made, ("shop-core", "1.4", ""), ("shop-core", "2.2", "")]:
        stem = f"{name.replace('-', '_')}-{version}"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {needs}\n" if needs else ""
        with zipfile.ZipFile(folder / f"wheels/{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    write(folder, {"requirements.txt": "\n".join(wheels)})
