"""Modules of many small functions, in Python or JavaScript, without a word of documentation."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Function:
    names: tuple[str, ...]
    """What it may be called, around `NOUN`."""

    parameters: str
    """Its parameters, in both languages."""

    python: str
    """Its body in Python; a bar stands for a line's end."""

    javascript: str
    """Its body in JavaScript."""

    does: tuple[str, ...]
    """What it does, in other words."""


_FUNCTIONS = (
    _Function(
        names=("load_NOUNs", "read_NOUNs"),
        parameters="path",
        python="with open(path) as handle:|    return [json.loads(line) for line in handle]",
        javascript="const text = fs.readFileSync(path, 'utf8');|return JSON.parse(text);",
        does=("gets the {many} from disk", "fetches {many} out of a file"),
    ),
    _Function(
        names=("save_NOUNs", "dump_NOUNs"),
        parameters="path, items",
        python="with open(path, 'w') as handle:|    json.dump(items, handle, indent=2)",
        javascript="fs.writeFileSync(path, JSON.stringify(items, null, 2));",
        does=("puts the {many} into a file", "makes {many} outlive the process"),
    ),
    _Function(
        names=("unique_NOUNs", "distinct_NOUNs"),
        parameters="items",
        python="known = {}|for item in items:|    known.setdefault(item['id'], item)"
        "|return list(known.values())",
        javascript="return [...new Map(items.map((item) => [item.id, item])).values()];",
        does=("throws out {many} that occur twice", "drops duplicates among the {many}"),
    ),
    _Function(
        names=("latest_NOUN", "newest_NOUN"),
        parameters="items",
        python="return max(items, key=lambda item: item['created'], default=None)",
        javascript="return items.reduce((a, b) => (a.created > b.created ? a : b));",
        does=("finds the most recent {one}", "says which {one} was made last"),
    ),
    _Function(
        names=("NOUNs_by_day", "bucket_NOUNs"),
        parameters="items",
        python="days = defaultdict(list)|for item in items:"
        "|    days[item['created'][:10]].append(item)|return days",
        javascript="const days = {};|for (const item of items) {"
        "|  (days[item.created.slice(0, 10)] ??= []).push(item);|}|return days;",
        does=("groups {many} according to date", "arranges {many} along the calendar"),
    ),
    _Function(
        names=("sum_NOUNs", "NOUN_total"),
        parameters="items",
        python="total = 0|for item in items:|    total += item['amount'] * item.get('count', 1)"
        "|return total",
        javascript="return items.reduce((sum, item) => sum + item.amount * item.count, 0);",
        does=("adds up what all {many} are worth", "computes the overall value of the {many}"),
    ),
    _Function(
        names=("mean_NOUN", "typical_NOUN"),
        parameters="items",
        python="if not items:|    return 0.0"
        "|return sum(item['amount'] for item in items) / len(items)",
        javascript="if (!items.length) return 0;"
        "|return items.reduce((sum, item) => sum + item.amount, 0) / items.length;",
        does=("calculates the average value of the {many}",),
    ),
    _Function(
        names=("active_NOUNs", "current_NOUNs"),
        parameters="items, now",
        python="return [item for item in items if (item['expires'] or now) >= now]",
        javascript="return items.filter((item) => !item.expires || item.expires > now);",
        does=("leaves out {many} that are no longer valid",),
    ),
    _Function(
        names=("find_NOUN", "lookup_NOUN"),
        parameters="items, key",
        python="for item in items:|    if item['id'] == key:|        return item|return None",
        javascript="return items.find((item) => item.id === key) ?? null;",
        does=("searches for a single {one} with a given identifier",),
    ),
    _Function(
        names=("check_NOUN", "ensure_NOUN"),
        parameters="item",
        python="missing = [field for field in REQUIRED if field not in item]|if missing:"
        "|    raise ValueError(', '.join(missing))",
        javascript="const missing = REQUIRED.filter((field) => !(field in item));"
        "|if (missing.length) throw new Error(missing.join(', '));",
        does=("complains when a {one} is incomplete", "rejects a {one} that lacks mandatory data"),
    ),
    _Function(
        names=("render_NOUN", "describe_NOUN"),
        parameters="item",
        python="label = item['label'].title()|return f\"{label:<20} {item['amount']:>10.2f}\"",
        javascript="const label = item.label.padEnd(20);"
        "|return `${label} ${item.amount.toFixed(2)}`;",
        does=("turns a {one} into a line that people can read",),
    ),
    _Function(
        names=("parse_NOUN", "NOUN_from_row"),
        parameters="row",
        python="key, label, amount = row.strip().split(',')"
        "|return {'id': key, 'label': label, 'amount': float(amount)}",
        javascript="const [id, label, amount] = row.trim().split(',');"
        "|return { id, label, amount: Number(amount) };",
        does=("takes apart comma-separated text to obtain a {one}",),
    ),
    _Function(
        names=("merge_NOUNs", "combine_NOUNs"),
        parameters="old, recent",
        python="result = {item['id']: item for item in old}"
        "|result.update((item['id'], item) for item in recent)|return list(result.values())",
        javascript="const result = new Map(old.map((item) => [item.id, item]));"
        "|recent.forEach((item) => result.set(item.id, item));|return [...result.values()];",
        does=("joins two lists of {many}, where later ones win",),
    ),
    _Function(
        names=("rank_NOUNs", "order_of_NOUNs"),
        parameters="items",
        python="return sorted(items, key=lambda item: (-item['priority'], item['created']))",
        javascript="return [...items].sort((a, b) => b.priority - a.priority);",
        does=("sorts {many} by importance", "brings the most urgent {many} to the front"),
    ),
    _Function(
        names=("chunk_NOUNs", "batches_of_NOUNs"),
        parameters="items, size",
        python="for start in range(0, len(items), size):|    yield items[start : start + size]",
        javascript="const parts = [];|for (let i = 0; i < items.length; i += size) {"
        "|  parts.push(items.slice(i, i + size));|}|return parts;",
        does=("cuts the {many} into portions of equal length",),
    ),
    _Function(
        names=("send_NOUN", "push_NOUN"),
        parameters="client, item",
        python="for pause in (1, 5, 30):|    try:|        return client.post(item)"
        "|    except ConnectionError:|        time.sleep(pause)|return None",
        javascript="for (let attempt = 0; attempt < 3; attempt += 1) {"
        "|  const reply = client.post(item);|  if (reply.ok) return reply;|}|return null;",
        does=("transmits a {one} and tries again after a failure",),
    ),
    _Function(
        names=("cached_NOUN", "remember_NOUN"),
        parameters="key, make",
        python="if key not in _CACHE:|    _CACHE[key] = make(key)|return _CACHE[key]",
        javascript="if (!CACHE.has(key)) CACHE.set(key, make(key));|return CACHE.get(key);",
        does=("avoids building the same {one} a second time",),
    ),
    _Function(
        names=("redact_NOUN", "mask_NOUN"),
        parameters="item",
        python="hidden = {field: '***' for field in ('email', 'phone') if field in item}"
        "|return {**item, **hidden}",
        javascript="return { ...item, email: '***', phone: '***' };",
        does=("hides personal details of a {one}", "makes a {one} anonymous"),
    ),
    _Function(
        names=("NOUN_digest", "fingerprint_NOUN"),
        parameters="item",
        python="text = json.dumps(item, sort_keys=True)"
        "|return hashlib.sha256(text.encode()).hexdigest()",
        javascript="const text = JSON.stringify(item);"
        "|return crypto.createHash('sha256').update(text).digest('hex');",
        does=("computes a checksum for a {one}",),
    ),
    _Function(
        names=("tally_NOUNs", "NOUN_statistics"),
        parameters="items",
        python="return Counter(item['status'] for item in items)",
        javascript="const seen = {};|items.forEach(({ status }) => {"
        "|  seen[status] = (seen[status] ?? 0) + 1;|});|return seen;",
        does=("counts how many {many} are in each state",),
    ),
    _Function(
        names=("purge_NOUNs", "expire_NOUNs"),
        parameters="table, limit",
        python="old = [key for key, item in table.items() if item['created'] < limit]"
        "|for key in old:|    del table[key]|return len(old)",
        javascript="for (const [key, item] of table) {"
        "|  if (item.created < limit) table.delete(key);|}|return table.size;",
        does=("deletes {many} that are too old", "gets rid of outdated {many}"),
    ),
    _Function(
        names=("clamp_NOUN", "limit_NOUN"),
        parameters="item, low, high",
        python="amount = min(max(item['amount'], low), high)|return {**item, 'amount': amount}",
        javascript="const amount = Math.min(Math.max(item.amount, low), high);"
        "|return { ...item, amount };",
        does=("forces the value of a {one} into a permitted range",),
    ),
    _Function(
        names=("diff_NOUNs", "changed_NOUNs"),
        parameters="before, after",
        python="known = {item['id']: item for item in before}"
        "|return [item for item in after if known.get(item['id']) != item]",
        javascript="const known = new Map(before.map((item) => [item.id, item.hash]));"
        "|return after.filter((item) => known.get(item.id) !== item.hash);",
        does=("tells which {many} differ between two snapshots",),
    ),
    _Function(
        names=("convert_NOUN", "NOUN_in_currency"),
        parameters="item, rates, currency",
        python="factor = rates[currency] / rates[item['currency']]"
        "|return {**item, 'amount': round(item['amount'] * factor, 2), 'currency': currency}",
        javascript="const factor = rates[currency] / rates[item.currency];"
        "|return { ...item, amount: item.amount * factor, currency };",
        does=("expresses a {one} in another country's money",),
    ),
    _Function(
        names=("page_of_NOUNs", "slice_NOUNs"),
        parameters="items, number, size=20",
        python="first = (number - 1) * size"
        "|return {'items': items[first : first + size], 'pages': -(-len(items) // size)}",
        javascript="const first = (number - 1) * size;"
        "|return { items: items.slice(first, first + size), total: items.length };",
        does=("picks the {many} to be displayed on one screen of results",),
    ),
    _Function(
        names=("pick_NOUNs", "spot_check_NOUNs"),
        parameters="items, wanted",
        python="if wanted >= len(items):|    return list(items)"
        "|return random.sample(items, wanted)",
        javascript="const mixed = [...items].sort(() => Math.random() - 0.5);"
        "|return mixed.slice(0, wanted);",
        does=("draws some {many} by chance",),
    ),
)
_NOUNS = (
    ("order", "purchase", "purchases"),
    ("invoice", "bill", "bills"),
    ("user", "account holder", "account holders"),
    ("ticket", "support request", "support requests"),
    ("sensor", "measuring device", "measuring devices"),
    ("message", "piece of mail", "pieces of mail"),
    ("product", "article for sale", "articles for sale"),
    ("booking", "reservation", "reservations"),
    ("song", "piece of music", "pieces of music"),
    ("ship", "vessel", "vessels"),
    ("patient", "sick person", "sick people"),
    ("vote", "ballot", "ballots"),
    ("payment", "money transfer", "money transfers"),
    ("route", "itinerary", "itineraries"),
    ("meal", "dish", "dishes"),
    ("tenant", "renter", "renters"),
)
_QUESTIONS = (
    "Which function {does}?",
    "Where is the code that {does}?",
    "Find the function that {does}.",
    "What is the name of the routine which {does}?",
    "function that {does}",
)
_PYTHON_HEAD = (
    "import hashlib\nimport json\nimport random\nimport time\n"
    "from collections import Counter, defaultdict\n\nREQUIRED = ('id', 'label', 'amount')\n"
    "_CACHE = {}"
)
_JAVASCRIPT_HEAD = (
    "import crypto from 'node:crypto';\nimport fs from 'node:fs';\n\n"
    "const REQUIRED = ['id', 'label', 'amount'];\nconst CACHE = new Map();"
)
_Chosen = tuple[_Function, str, str]


def code(draw: Draw, chars: int) -> MarkedCase:
    """Make a case of one module.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the module has.

    Returns:
        The case.
    """
    nouns = draw.shuffled(_NOUNS)[: draw.number(2, 4) + chars // 8_000]
    pairs = draw.shuffled([(function, noun) for function in _FUNCTIONS for noun in nouns])
    write = draw.choice((_python, _python, _python_class, _javascript))
    chosen: list[_Chosen] = []
    while not chosen or (len(write(chosen, "")) < 0.9 * chars and len(chosen) < len(pairs)):
        function, (noun, _, _) = pairs[len(chosen)]
        chosen.append((function, noun, draw.choice(function.names).replace("NOUN", noun)))
    place = draw.number(0, len(chosen) - 1)
    function, (_, one, many) = pairs[place]
    does = draw.choice(function.does).format(one=one, many=many)
    name = chosen[place][2]
    return MarkedCase(
        query=draw.choice(_QUESTIONS).format(does=does),
        answer=_camel(name) if write is _javascript else name,
        texts=(write(chosen, name),),
    )


def _python(chosen: list[_Chosen], asked: str) -> str:
    return "\n\n\n".join([_PYTHON_HEAD, *(_python_function(one, asked, "") for one in chosen)])


def _python_class(chosen: list[_Chosen], asked: str) -> str:
    blocks = [_PYTHON_HEAD]
    for noun in dict.fromkeys(noun for _, noun, _ in chosen):
        own = [_python_function(one, asked, "self, ") for one in chosen if one[1] == noun]
        methods = textwrap.indent("\n\n".join(own), "    ")
        blocks.append(f"class {noun.title()}Desk:\n{methods}")
    return "\n\n\n".join(blocks)


def _python_function(chosen: _Chosen, asked: str, own: str) -> str:
    function, _, name = chosen
    signature = f"def {name}({own}{function.parameters}):"
    body = "\n".join(f"    {line}" for line in function.python.split("|"))
    return f"{mark(signature) if name == asked else signature}\n{body}"


def _javascript(chosen: list[_Chosen], asked: str) -> str:
    blocks = [_JAVASCRIPT_HEAD]
    for function, _, name in chosen:
        signature = f"export function {_camel(name)}({function.parameters}) {{"
        body = "\n".join(f"  {line}" for line in _lines(function.javascript))
        blocks.append(f"{mark(signature) if name == asked else signature}\n{body}\n}}")
    return "\n\n".join(blocks)


def _lines(body: str) -> list[str]:
    return re.split(r"(?<!\|)\|(?!\|)", body)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)
