"""Units of INI files, XML, mail and subtitles."""

from __future__ import annotations

import pytest

from specprefill_integrations import TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._mail import MailSplitter
from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
from specprefill_integrations.splitting._subtitles import SubtitleSplitter
from specprefill_integrations.splitting._xml_text import XmlSplitter
from tests.unit_tests.splitting.reading import needs, pieces

MESSAGE = """\
Received: from a.example by b.example; Fri, 4 May 2001 14:05:44 -0400
From: Ann <ann@example.org>
To: Bob <bob@example.org>
Subject: Ferry
X-Mailer: none

Dear Bob,

the ferry leaves at noon, and it is never late. The pier
is closed.

On Monday, Carl wrote:
> When does it leave?

-----Original Message-----
From: Dora <dora@example.org>
Sent: Monday
Subject: Pier

Is it open?
"""

POM = """\
<?xml version="1.0"?>
<project>
 <!-- what it needs -->
 <dependency>
  <groupId>org.a</groupId>
  <artifactId>a</artifactId>
  <version>1</version>
  <note>Some <b>bold</b>
words. And more.</note>
 </dependency>
</project>"""

CUES = """\
WEBVTT

NOTE by hand

intro
00:01.000 --> 00:02.000
Hello
there.

00:03.000 --> 00:04.000
Who?
"""


def ini(text: str) -> dict[str, list[str]]:
    return needs(SettingsSplitter(form="ini", max_unit_chars=20), text)


def test_keys_need_their_section():
    text = "top = 1\n[server]\n; about it\nhost = 10.0.0.1\nskip-name-resolve\n\n[client]\nport=1\n"
    assert ini(text) == {
        "top = 1": [],
        "[server]": [],
        "; about it": ["[server]"],
        "host = 10.0.0.1": ["[server]", "; about it"],
        "skip-name-resolve": ["[server]"],
        "[client]\nport=1": [],
    }


@pytest.mark.parametrize(
    "value",
    ["a = x \\\n  and more\\\nand y", "a =\n  x\n  y", 'a="x\ny z"', "  a = x\n    y"],
)
def test_a_value_of_several_lines_is_one_entry(value):
    text = f"[s]\n{value}\nb = 1\nc = 2\n"
    found = needs(SettingsSplitter(form="ini", max_unit_chars=26), text + 9 * "d = 1\n")
    assert found[value] == ["[s]"]
    assert found["b = 1"] == ["[s]"]


def test_the_parts_of_an_element_need_its_start_tag_and_what_names_it():
    project = '<?xml version="1.0"?>\n<project>'
    found = needs(XmlSplitter(max_unit_chars=100), POM)
    head = " <dependency>\n  <groupId>org.a</groupId>\n  <artifactId>a</artifactId>"
    assert list(found) == [
        '<?xml version="1.0"?>',
        "<project>",
        "<!-- what it needs -->",
        head,
        "  <version>1</version>",
        "  <note>Some <b>bold</b>\nwords. And more.</note>\n </dependency>\n</project>",
    ]
    assert found["  <version>1</version>"] == ["<project>", head]
    assert project in POM


def test_a_value_of_a_property_list_needs_its_key():
    text = "<dict>\n<key>a</key>\n<string>x y</string>\n<key>b</key>\n<true/>\n</dict>"
    found = needs(XmlSplitter(max_unit_chars=30), text)
    assert found["<string>x y</string>"] == ["<dict>", "<key>a</key>"]
    assert found["<true/>\n</dict>"] == ["<dict>", "<key>b</key>"]


def test_no_entity_is_expanded():
    bomb = '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;">]>\n<a>&b;</a>'
    assert "".join(pieces(XmlSplitter(max_unit_chars=40), bomb)) == bomb.replace("\n", "")


def test_cut_off_xml_is_read_as_far_as_it_goes():
    found = needs(XmlSplitter(max_unit_chars=20), "<a><b><name>n</name><c>" + "word " * 9)
    assert found["word word word word"] == ["<a>", "<b><name>n</name>", "<c>"]


def test_a_message_needs_who_wrote_it_and_about_what():
    found = needs(MailSplitter(), MESSAGE)
    head = "From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nSubject: Ferry"
    forwarded = "From: Dora <dora@example.org>\nSent: Monday\nSubject: Pier"
    assert found["the ferry leaves at noon, and it is never late."] == [head]
    assert found["The pier\nis closed."] == [head]
    assert found["> When does it leave?"] == [head, "On Monday, Carl wrote:"]
    assert found["X-Mailer: none"] == [head]
    assert found["Is it open?"] == [forwarded]


def test_parts_of_a_message_need_its_head():
    text = (
        "From: a\nSubject: b\nContent-Type: multipart/mixed\n\n--x\nContent-Type: text/html\n\n"
        "<p>One.</p>\n--x\nContent-Type: text/plain\n\nTwo.\n--x--\n"
    )
    found = needs(MailSplitter(), text)
    assert found["<p>One.</p>"] == found["Two."] == ["From: a\nSubject: b"]


def test_a_cue_is_whole():
    assert pieces(SubtitleSplitter(), CUES) == [
        "WEBVTT\n\nNOTE by hand",
        "intro\n00:01.000 --> 00:02.000\nHello\nthere.",
        "00:03.000 --> 00:04.000\nWho?",
    ]


def test_a_long_cue_is_cut_below_its_time_code():
    time = "1\n00:00:01,000 --> 00:00:02,000"
    found = needs(SubtitleSplitter(max_unit_chars=40), f"{time}\n{'many words ' * 9}")
    assert set(found) > {time}
    assert all(above == [time] for unit, above in found.items() if unit != time)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ini", "[a]\nx = y z\nflag\n[b]\nx = 10.0.0.1\n"),
        ("ini", "# db\nDB_HOST=localhost\nDB_PASSWORD=\nexport DEBUG=1\n"),
        ("ini", "server.port=80\nserver.name=a\nspring.x.y=a b\n"),
        ("ini", "[Unit]\nDescription=A b\nAfter=x.target\n\n[Service]\nExecStart=/bin/x -y\n"),
        ("ini", '[remote "origin"]\n\turl = git@x:y\n\tfetch = +refs/heads/*\n'),
        ("ini", "Windows Registry Editor 5\n\n" + '[HKEY\\a]\n"x"="y"\n"z"="y"\n\n' * 4),
        ("toml", "[a]\nx = 'y'\n[b]\nx = 10.5\n"),
        ("xml", POM),
        ("xml", '<svg viewBox="0 0 1 1"><g><path d="M0"/></g><path d="M1"/></svg>'),
        ("xml", "<rss><channel><item><title>a</title></item><item><title>b</title></item>"),
        ("xml", '<?xml version="1.0"?>\n<article>' + "<section><p>a</p></section>" * 3),
        ("html", "<!doctype html><title>T</title><dl><dt>a</dt><dd>b</dd></dl>"),
        ("mail", MESSAGE),
        ("mail", "From: a\nSubject: b\n\nHello."),
        ("subtitles", CUES),
        ("subtitles", "1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:03,000 --> 00:00:04,000\nb"),
        ("lines", "a (1.2) unstable; x=y\n\n  [ Ann B ]\n  * New one.\n  * Closes: #1\n" * 3),
        ("prose", '<p align="center"><img src="a"/><br/><br/></p>\n\nSome words, and more.'),
        ("prose", "From: a quiet place\n\nIt is said that nobody came. They left."),
    ],
)
def test_evidence(kind, text):
    assert guess_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("# policy\nmodule-store = direct\n# more\nexpand-check = 0\n", "ini"),
        ("The ferry leaves at noon.\nNobody came, and it rained.\n", "prose"),
        ("server {\n  listen 80;\n  location / {\n    root /x;\n  }\n}\n", "lines"),
    ],
)
def test_a_name_is_doubted_where_there_are_no_keys(text, kind):
    assert SplitByKind().kind(text, TextHint(name="a.conf")) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((".env", "ini"), (".env.local", "ini"), ("my.cnf", "ini"), ("setup.cfg", "ini")),
        *(("a.svg", "xml"), ("pom.xml", "xml"), ("a.eml", "mail"), ("in.mbox", "mail")),
        *(("talk.srt", "subtitles"), ("talk.vtt", "subtitles")),
    ],
)
def test_names(name, kind):
    assert guess_kind("some words", name) == kind


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [
        *(("text/xml", "xml"), ("application/atom+xml", "xml"), ("message/rfc822", "mail")),
        *(("text/vtt", "subtitles"), ("text/x-ini", "ini"), ("application/xhtml+xml", "html")),
    ],
)
def test_mime_types(mime_type, kind):
    assert guess_kind("some words", mime_type=mime_type) == kind
