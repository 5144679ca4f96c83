"""Tools that talk to servers, databases and other programs' data."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.tool_outputs.recipe import recipe, seeded, write

_SERVER = """
import http.server
import subprocess
import sys
import threading


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *given):
        if "log" in sys.argv[1:]:
            super().log_message(*given)


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    tool = [word.replace("BASE", base) for word in sys.argv[1:] if word != "log"]
    subprocess.run(tool)
    server.shutdown()
"""

_CITIES = ("Utrecht", "Oslo", "Porto", "Graz", "Lyon", "Turku", "Bergen", "Gent", "Brno", "Cork")
_SURNAMES = (
    "Visser",
    "Hansen",
    "Costa",
    "Gruber",
    "Moreau",
    "Virtanen",
    "Berg",
    "Peeters",
    "Novak",
)


def _orders(count: int) -> list[dict[str, object]]:
    draw = seeded(11)
    return [
        {
            "id": 1000 + i,
            "customer": f"{_SURNAMES[i * 5 % 9]}, {'ABCDEFGHJKLM'[i % 12]}.",
            "city": draw.choice(_CITIES),
            "status": "on hold: address unknown"
            if i == 42
            else draw.choice(("paid", "sent", "open")),
            "total": round(draw.uniform(5, 400), 2),
        }
        for i in range(count)
    ]


def _server(folder: Path) -> None:
    write(
        folder, {"serve.py": _SERVER, "orders.json": json.dumps({"orders": _orders(60)}, indent=2)}
    )


@recipe(
    "python serve.py curl -sv BASE/orders.json",
    "Why was order 1042 not sent?",
    r'"id": 1042',
    r'"status": "on hold: address unknown"',
    works="command -v curl",
)
def _curl_json(folder: Path) -> None:
    _server(folder)


@recipe(
    "python serve.py curl -si BASE/handbook/ -o - BASE/orders.txt BASE/missing.txt",
    "Which kind of server answers, and was everything found?",
    r"^Server: [^\r\n]*",
    r"^HTTP/1\.0 404 [^\r\n]*",
    works="command -v curl",
)
def _curl_headers(folder: Path) -> None:
    _server(folder)
    write(folder, {f"handbook/chapter-{i:02}.html": f"<p>{i}\n" for i in range(40)})
    rows = [f"{order['id']}\t{order['customer']}\t{order['city']}\n" for order in _orders(25)]
    write(folder, {"orders.txt": "".join(rows)})


@recipe(
    "python serve.py log sh -c 'for p in $(cat pages); do curl -s -o /dev/null BASE/$p; done'",
    "Which page did visitors ask for that does not exist?",
    r'^127\.0\.0\.1 - - .*"GET /prices\.html HTTP/1\.1" 404 -',
    works="command -v curl",
)
def _server_log(folder: Path) -> None:
    _server(folder)
    pages = [
        f"{part}-{i}.html"
        for i in range(10)
        for part in ("about", "shop", "team", "jobs", "help", "news")
    ]
    write(folder, dict.fromkeys(pages, "x\n"))
    pages.insert(38, "prices.html")
    write(folder, {"pages": "\n".join(pages)})


@recipe(
    "jq '.orders[:35]' orders.json",
    "Who is waiting for the order with the unknown address?",
    r'"customer": ".*"(?=,\n.*\n.*address unknown)',
    r'"status": "on hold: address unknown"',
)
def _jq(folder: Path) -> None:
    orders = _orders(60)
    write(folder, {"orders.json": json.dumps({"orders": orders[20:]})})


def _database(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute(
            "create table orders (id integer primary key, customer, city, status, total)"
        )
        database.execute("create table parcels (id integer primary key, order_id, courier, sent)")
        rows = [tuple(order.values()) for order in _orders(90)]
        database.executemany("insert into orders values (?, ?, ?, ?, ?)", rows)
        parcels = [
            (i, 1000 + i, ("GLS", "DPD", "Post")[i % 3], f"2026-02-{1 + i % 28:02}")
            for i in range(30)
        ]
        database.executemany("insert into parcels values (?, ?, ?, ?)", parcels)
    database.close()


@recipe(
    "sqlite3 -header -column shop.db 'select * from orders'",
    "Which customer's address could not be found?",
    r"^1042 .* on hold: address unknown .*",
)
def _sqlite_columns(folder: Path) -> None:
    _database(folder)


@recipe(
    "sqlite3 -box shop.db 'select * from orders limit 70'",
    "What does the order that is on hold cost?",
    r"^│ 1042 .* on hold: address unknown .*",
    works="command -v sqlite3 && sqlite3 -box :memory: 'select 1'",
)
def _sqlite_box(folder: Path) -> None:
    _database(folder)


@recipe(
    "sqlite3 shop.db .dump",
    "Which company carried the parcel of order 1017?",
    r"^INSERT INTO parcels VALUES\(17,1017,.*",
)
def _sqlite_dump(folder: Path) -> None:
    _database(folder)


@recipe(
    "npm ls --all",
    "Which of our packages pulls in the outdated minimist?",
    r"^.*\bgulp-banner@2\.3\.1",
    r"^.*\bminimist@0\.0\.8",
)
def _npm_ls(folder: Path) -> None:
    def package(name: str, version: str, needs: dict[str, str], place: str) -> None:
        content = {"name": name, "version": version, "dependencies": needs}
        write(folder, {f"{place}package.json": json.dumps(content)})

    parts = "cart mail grid form menu date zip log io map ui i18n auth tags feed push chat docs"
    tops = {f"acme-{part}": f"1.{i}.0" for i, part in enumerate(parts.split())}
    for i, (name, version) in enumerate(tops.items()):
        inner = {
            f"{name}-{part}": f"0.{i}.{j}"
            for j, part in enumerate(("core", "utils", "types", "styles"))
        }
        package(name, version, inner, f"node_modules/{name}/")
        for one, its in inner.items():
            package(one, its, {}, f"node_modules/{one}/")
    tops["gulp-banner"] = "2.3.1"
    package("gulp-banner", "2.3.1", {"minimist": "0.0.8"}, "node_modules/gulp-banner/")
    package("minimist", "0.0.8", {}, "node_modules/minimist/")
    package("site", "1.0.0", tops, "")


@recipe(
    "node --test --test-reporter spec",
    "What did the rounding test get instead of the right sum?",
    r"✖ rounds the sum to cents.*",
    r"^ *actual: 30\.299999999999997,?",
    works="command -v node && node --test-reporter spec --version",
)
def _node_test(folder: Path) -> None:
    head = "const test = require('node:test');\nconst assert = require('node:assert');\n"
    tests = "".join(
        f"test('keeps item {i} of the basket', () => assert.ok({i} + 1));\n" for i in range(45)
    )
    failing = "test('rounds the sum to cents', () => assert.strictEqual(10.1 * 3, 30.3));\n"
    write(folder, {"basket.test.js": f"{head}{tests}{failing}"})


@recipe(
    "terraform init -no-color > /dev/null && terraform plan -no-color",
    "Which existing setting is going to be destroyed?",
    r"^ +# terraform_data\.rule\[\"mail\"\] will be destroyed",
    works="terraform version",
)
def _terraform(folder: Path) -> None:
    names = ("web", "ssh", "dns", "ntp", "api", "ldap", "metrics", "logs", "smtp", "imap", "redis")
    rules = ", ".join(f'{name} = "{i}"' for i, name in enumerate(names))
    source = f"""
    resource "terraform_data" "rule" {{
      for_each = {{ {rules} }}
      input = {{ port = each.value, open = true }}
    }}
    """
    instance = {
        "schema_version": 0,
        "index_key": "mail",
        "attributes": {
            "id": "5f1b8b7e-0c11-4f0e-9a64-3a5f0d0e1b25",
            "input": None,
            "output": None,
            "triggers_replace": None,
        },
    }
    state = {
        "version": 4,
        "terraform_version": "1.4.0",
        "serial": 1,
        "lineage": "0b1f7b6e-27ce-4c7d-a9e6-0d6b4f0f4b11",
        "outputs": {},
        "resources": [
            {
                "mode": "managed",
                "type": "terraform_data",
                "name": "rule",
                "provider": 'provider["terraform.io/builtin/terraform"]',
                "instances": [instance],
            }
        ],
    }
    write(folder, {"main.tf": source, "terraform.tfstate": json.dumps(state)})


@recipe(
    "kubectl kustomize .",
    "Which version of the payment service will be rolled out?",
    r"image: registry\.example\.org/payments:.*",
)
def _kustomize(folder: Path) -> None:
    names = ("cart", "mail", "search", "payments", "export", "login")
    for i, name in enumerate(names):
        text = f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {name}
        spec:
          replicas: {i + 1}
          selector:
            matchLabels:
              app: {name}
          template:
            metadata:
              labels:
                app: {name}
            spec:
              containers:
                - name: main
                  image: registry.example.org/{name}:3.{i}.{i * 7}
                  env:
                    - name: LOG_LEVEL
                      value: info
                  ports:
                    - containerPort: {8000 + i}
                  resources:
                    limits:
                      memory: {256 * (i + 1)}Mi
        """
        write(folder, {f"{name}.yaml": text})
    listed = "".join(f"  - {name}.yaml\n" for name in names)
    write(folder, {"kustomization.yaml": f"namespace: shop\nresources:\n{listed}"})
