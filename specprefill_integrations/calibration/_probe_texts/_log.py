"""Lines that services write while they run, with one rare event among them."""

from __future__ import annotations

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark

_ROUTINE = (
    ("INFO", "scheduler", "Job {ticket} finished in {milliseconds} ms"),
    ("INFO", "scheduler", "Queued job {ticket} for node-{few}"),
    ("INFO", "scheduler", "Next maintenance window starts in {few} minutes"),
    ("DEBUG", "scheduler", "Tick took {milliseconds} us, {few} timers pending"),
    ("INFO", "http", "GET /api/v2/items/{ticket} 200 {milliseconds}ms"),
    ("INFO", "http", "POST /api/v2/orders 201 {milliseconds}ms request_id={hash}"),
    ("WARN", "http", "Slow response: GET /reports/{ticket} took {integer} ms"),
    ("INFO", "http", "GET /health 200 {few}ms"),
    ("INFO", "auth", "User {ticket} signed in from 10.0.{few}.{few}"),
    ("INFO", "auth", "Session {hash} refreshed"),
    ("WARN", "auth", "Wrong password for user {ticket}, attempt 1 of 5"),
    ("DEBUG", "auth", "Token cache holds {integer} entries"),
    ("INFO", "db", "Checkpoint complete: wrote {integer} buffers"),
    ("INFO", "db", "Connection pool: {few} in use, {few} idle"),
    ("DEBUG", "db", "Query plan reused for statement {hash}"),
    ("WARN", "db", "Query {hash} needed {integer} ms, consider an index"),
    ("INFO", "cache", "Evicted {integer} entries, hit rate {few} percent"),
    ("DEBUG", "cache", "Warmed shard {few} in {milliseconds} ms"),
    ("INFO", "mailer", "Sent receipt {hash} to customer {ticket}"),
    ("WARN", "mailer", "Temporary failure for message {hash}, will retry in {few} s"),
    ("INFO", "storage", "Uploaded part {few} of object {hash}"),
    ("INFO", "storage", "Volume vol-{ticket} mounted read-write"),
    ("DEBUG", "storage", "Checksum of object {hash} verified"),
    ("INFO", "billing", "Invoice {ticket} created for account {hash}"),
    ("INFO", "billing", "Charged card of account {hash}, reference {ticket}"),
    ("INFO", "kernel", "eth0: link up, {integer} Mbps"),
    ("INFO", "kernel", "CPU {few}: temperature normal"),
    ("INFO", "worker", "Picked up batch {hash} with {integer} rows"),
    ("INFO", "worker", "Batch {hash} committed"),
    ("WARN", "worker", "Row {ticket} skipped: empty name"),
)
_EVENTS = (
    (
        ("ERROR", "storage", "No space left on device: vol-{v}", "ticket"),
        ("Which disk was full?", "What volume could not take any more data?"),
    ),
    (
        ("ERROR", "db", "Deadlock detected, transaction {v} rolled back", "hash"),
        (
            "Which transaction was undone because two of them blocked each other?",
            "id of the transaction that was aborted by a mutual lock",
        ),
    ),
    (
        ("ERROR", "auth", "Account {v} locked after too many failed attempts", "ticket"),
        (
            "Who was shut out for entering bad credentials repeatedly?",
            "Which user is blocked from logging in?",
        ),
    ),
    (
        ("ERROR", "http", "TLS certificate of {v}.example expired", "stem"),
        (
            "For which host is the HTTPS identity no longer valid?",
            "Which server needs a new SSL cert?",
        ),
    ),
    (
        ("FATAL", "worker", "Out of memory while reading batch {v}", "hash"),
        (
            "What was being processed when RAM ran out?",
            "Which input made the process run out of heap?",
        ),
    ),
    (
        ("ERROR", "billing", "Payment declined for invoice {v}: insufficient funds", "ticket"),
        (
            "Which bill could not be paid for lack of money?",
            "Where did a charge bounce?",
        ),
    ),
    (
        ("ERROR", "kernel", "Fan {v} stopped, throttling", "stem"),
        (
            "Which part of the cooling broke down?",
            "Why did the machine slow its processors, and which unit was at fault?",
        ),
    ),
    (
        ("ERROR", "mailer", "Recipient {v}@post.example does not exist", "stem"),
        (
            "To whom could an e-mail not be delivered because the address is unknown?",
            "Which mailbox was not found?",
        ),
    ),
    (
        ("ERROR", "scheduler", "Job {v} killed: exceeded its time limit", "ticket"),
        (
            "Which task was stopped because it ran too long?",
            "What did the timeout put an end to?",
        ),
    ),
    (
        ("WARN", "db", "Replica {v} is lagging behind by 41 seconds", "stem"),
        (
            "Which copy of the database is not up to date?",
            "What follower fell behind the primary?",
        ),
    ),
    (
        ("INFO", "config", "Feature flag {v} switched on by operator", "stem"),
        (
            "Which option did a human enable?",
            "What functionality was activated by hand?",
        ),
    ),
    (
        ("INFO", "deploy", "Rolled back to build {v} after failed health probe", "hash"),
        (
            "Which older release was restored?",
            "To what version did the system return because the new one was sick?",
        ),
    ),
    (
        ("ERROR", "cache", "Shard {v} unreachable: connection refused", "stem"),
        (
            "Which piece of the in-memory store could not be contacted?",
            "Where did a cache node reject the link?",
        ),
    ),
    (
        ("ERROR", "worker", "Malformed record at offset {v}, batch abandoned", "integer"),
        (
            "At what position was broken data found?",
            "Where in the file did parsing give up?",
        ),
    ),
    (
        ("WARN", "auth", "Certificate pin mismatch, possible interception from {v}", "stem"),
        (
            "Where might a man-in-the-middle attack come from?",
            "Which origin looks like an eavesdropper?",
        ),
    ),
    (
        ("INFO", "deploy", "Release {v} approved by two reviewers", "hash"),
        (
            "Which build got the go-ahead?",
            "What was signed off for shipping?",
        ),
    ),
    (
        ("ERROR", "storage", "Object {v} corrupt: digest differs from manifest", "hash"),
        (
            "Which stored item was damaged?",
            "What failed the integrity check?",
        ),
    ),
    (
        ("WARN", "kernel", "USB device {v} disconnected without being ejected", "stem"),
        (
            "Which peripheral was pulled out carelessly?",
            "What hardware went away all of a sudden?",
        ),
    ),
)
_FORMATS = (
    "2024-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {level:5} [{name}] {text}",
    "2024-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:03}Z {name} {level}: {text}",
    "{hour:02}:{minute:02}:{second:02}.{part:03} | {level:<8}| {name}:{part} - {text}",
    "Mar {day:2} {hour:02}:{minute:02}:{second:02} node-7 {name}[{part}]: {level} {text}",
)
_PREFIXES = ("", "", "", "In this log: ", "Look at the log. ", "We had an incident. ")


def log(draw: Draw, chars: int) -> MarkedCase:
    """Make a case of log lines.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the log has.

    Returns:
        The case.
    """
    asked, *others = draw.shuffled(_EVENTS)
    (level, name, message, sort), questions = asked
    value = draw[sort]
    messages = [(level, name, message.format(v=value))]
    draw.reserve(value)
    lines = max(1, chars // 76)
    for (level, name, message, sort), _ in others[: min(draw.number(3, 6), lines // 4)]:
        messages.append((level, name, message.format(v=draw[sort])))
    while len(messages) < lines:
        level, name, message = draw.choice(_ROUTINE)
        messages.append((level, name, message.format_map(draw)))
    written = _written(draw, messages)
    query = draw.choice(_PREFIXES) + draw.choice(questions)
    return MarkedCase(query=query, answer=value, texts=("\n".join(written),))


def _written(draw: Draw, messages: list[tuple[str, str, str]]) -> list[str]:
    form, month, day = draw.choice(_FORMATS), draw.number(1, 12), draw.number(1, 28)
    clock = draw.number(0, 40_000_000)
    lines = []
    for place in draw.shuffled(range(len(messages))):
        level, name, text = messages[place]
        clock += draw.number(1, 400_000)
        seconds, part = divmod(clock, 1000)
        line = form.format(
            month=month,
            day=day,
            hour=seconds // 3600,
            minute=seconds // 60 % 60,
            second=seconds % 60,
            part=part,
            level=level,
            name=name,
            text=text,
        )
        lines.append(mark(line) if place == 0 else line)
    return lines
