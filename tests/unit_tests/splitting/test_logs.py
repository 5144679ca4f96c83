"""Log entries and their stack traces."""

from __future__ import annotations

import pytest

from specprefill_integrations.splitting._output._logs import LogSplitter
from tests.unit_tests.splitting.reading import needs, pieces

PYTHON = """\
Traceback (most recent call last):
  File "pay.py", line 3, in pay
    charge(card)
KeyError: 'card'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "shop.py", line 9, in buy
    pay()
RuntimeError: not paid"""

JAVA = """\
java.lang.IllegalStateException: not paid
\tat shop.Pay.charge(Pay.java:17)
\tat shop.Main.main(Main.java:5)
Caused by: java.io.IOException: no card
\tat shop.Card.read(Card.java:4)
\t... 2 more"""

NODE = """\
TypeError: Cannot read properties of undefined (reading 'card')
    at pay (/app/pay.js:3:9)
    at Object.<anonymous> (/app/main.js:1:1)"""

GO = """\
panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.pay(...)
\t/app/pay.go:17
main.main()
\t/app/main.go:5 +0x1d
exit status 2"""

DOTNET = """\
Unhandled exception. System.InvalidOperationException: not paid
   at Shop.Pay.Charge() in /app/Pay.cs:line 17
   --- End of inner exception stack trace ---
   at Shop.Program.Main() in /app/Program.cs:line 5"""

TRACES = {"python": PYTHON, "java": JAVA, "node": NODE, "go": GO, "dotnet": DOTNET}

FORMS = {
    "iso": "2024-05-01 12:00:{:02},123 INFO app",
    "iso with zone": "2024-05-01T12:00:{:02}.5Z app",
    "date with slashes": "24/05/01 12:00:{:02} INFO app",
    "syslog": "May  1 12:00:{:02} host app[7]:",
    "syslog with priority": "<34>1 2024-05-01T12:00:{:02}Z host app",
    "apache errors": "[Wed May 01 12:00:{:02} 2024] [error]",
    "apache access": "10.0.0.1 - ann [01/May/2024:12:00:{:02} +0000]",
    "nginx errors": "2024/05/01 12:00:{:02} [error] 7#7:",
    "time alone": "12:00:{:02} app",
    "level alone": "[ERROR] app {}",
    "level and name": "WARNING:app:{}",
    "epoch": "17145648{:02}.123 app",
    "kernel": "[   12.0000{:02}] usb",
    "glog": "I0501 12:00:{:02}.123 7 app.go:3]",
    "compose": "web_1  | 2024-05-01T12:00:{:02}Z app",
    "kubectl": "[pod/web-7/app] 2024-05-01T12:00:{:02}Z",
    "logfmt": "time=2024-05-01T12:00:{:02}Z level=info",
    "json": '{{"ts": {}, "level": "info"}}',
    "level before the date": "INFO  2024-05-01 12:00:{:02} app",
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_stands_below_an_entry_belongs_to_it(form, trace):
    first, second, third = (form.format(i) for i in range(3))
    text = f"{first}\n{second}\n{trace}\n{third}\n"
    assert pieces(LogSplitter(), text) == [first, f"{second}\n{trace}", third]


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_a_trace_is_whole_in_a_log_without_time_stamps(trace):
    text = f"starting up\n{trace}\nrestarting\n"
    assert pieces(LogSplitter(), text) == ["starting up", trace, "restarting"]


def test_without_time_stamps_an_entry_is_a_line_and_what_is_indented_below_it():
    text = "loading\n  a.txt\n  b.txt\n\ndone\n"
    assert pieces(LogSplitter(), text) == ["loading\n  a.txt\n  b.txt", "done"]


def test_a_few_lines_that_look_like_entries_of_another_log_start_none():
    entries = [f"2024-05-01 12:00:{i:02} step" for i in range(40)]
    entries[7] += "\nERROR: no such table"
    assert pieces(LogSplitter(), "\n".join(entries)) == entries


def test_of_a_long_entry_the_pieces_need_the_first_line():
    first, last = "12:00:00 it broke", "12:00:01 restarted"
    trace = [f"    at step{i} (/app/main.js:{i}:1)" for i in range(8)]
    found = needs(LogSplitter(max_unit_chars=120), "\n".join([first, *trace, last]))
    assert next(iter(found)) == first
    assert list(found)[-1] == last
    assert [above for unit, above in found.items() if "step" in unit] == [[first]] * 3
    assert found["\n".join(trace[:3])] == [first]
    assert found[first] == found[last] == []


def test_colors_do_not_hide_where_an_entry_starts():
    entries = [f"\x1b[90m12:00:{i:02}\x1b[0m \x1b[32mINFO\x1b[0m step\n  more" for i in range(4)]
    assert pieces(LogSplitter(), "\n".join(entries)) == entries
