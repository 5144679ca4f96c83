"""Masking of secrets in what is written to files: settings, addresses, commands, texts.

Values under names such as `api_key` are masked whatever they are; so are parts of addresses and
words of commands. Within running text, a value after such a name is masked only if it looks random
(letters and digits), and shapes that only keys have are masked anywhere: prose and code stay. The
options of `curl` and database clients that hold a password are masked after their program's name.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
"""Replaces a secret."""

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|credential|authorization|cookie|apikey|signature|jwt"
    r"|(?:api|access|account|auth|bearer|client|encryption|master|private|refresh|security|session"
    r"|shared|signing|subscription)_(?:key|token)"
    r"|(?:^|_)(?:auth|pat|pwd|sas|session|session_?id|sid|sig)$|^(?:key|token)$|_token$"
)

# Names with the words above that hold no secret.
_PLAIN_NAME = re.compile(
    r"(?:^|_)(?:bos|cls|draft|eos|first|image|last|mask|new|next|pad|per|sep|special|stop|unk)_token$"
    r"|(?:secret|passw\w*|passphrase|credentials?|cookie|signature|jwt|key|token)"
    r"_(?:count|env|field|file|format|header|hint|length|name|path|policy|type|url)$"
)

# Shapes of keys that are known, and of nothing else.
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|(?<![\w-])(?:"
    r"sk-(?:proj|svcacct|admin|ant|or|lf)-[\w-]{16,}"
    r"|sk-(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"
    r"|[rs]k_(?:live|test)_\w{16,}"
    r"|gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|hf_(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}|gsk_\w{20,}|lsv2_[a-z]{2}_\w{20,}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[\w-]{30,}"
    r")",
    re.DOTALL,
)

_ADDRESS = re.compile(r"(?<=://)[^\s\"'<>`]+")
_USER = re.compile(r"\A[^/?#]*@")
_PARAMETER = re.compile(r"(?<=[?&#;])([^=&#;\s]{1,80})=([^&#\s\"'<>]+)")
_SCHEME = re.compile(r"(?<![\w-])((?:bearer|basic)\s{1,3})([\w.~+/=-]{8,})", re.IGNORECASE)
# Between a name and its value: `name: value`, `name=value`, `("name", "value")`.
_SIGN = r"([\"']?\s{0,3}[:=]\s{0,3}[\"']?|[\"']\s{0,3},\s{0,3}b?[\"'])"
_HEADER = re.compile(
    rf"(?<![\w-])((?:set-)?cookie|(?:proxy-)?authorization){_SIGN}([^\"'\r\n]+)", re.IGNORECASE
)
_ASSIGNED = re.compile(rf"(?<![\w-])(-{{0,2}}[\w-]{{2,64}}){_SIGN}([^\s\"'<>&;,]{{8,}})")
_TYPED = re.compile(r"(?<!\S)(-{1,2}[\w-]{2,64})(\s{1,3}[\"']?)([^\s\"'<>&;,]{8,})")
_RANDOM = re.compile(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w.~+/=%!@#$^*:|-]{8,}")

# Programs that take a user's name with the password, or a password alone, after a short option.
_USER_PROGRAM = r"curl"
_CLIENT_PROGRAM = r"(?:mysql|mariadb|mongo)[\w-]*|sshpass"
_PROGRAM = re.compile(
    rf"(?:.*[/\\])?(?:({_USER_PROGRAM})|({_CLIENT_PROGRAM}))(?:\.exe)?", re.DOTALL
)
_USER_OPTION = re.compile(r"(?:--(?:proxy-)?user|-[sSfkLiv]{0,6}[uU])=?")
_PASSWORD_OPTION = re.compile(r"-p")
_PLACEHOLDER = re.compile(r"\$[\w({].*|<.*", re.DOTALL)

# The rest of a command up to the next one, with continued lines and quoted words.
_REST = r"""(?=[\s"'])((?:\\\r?\n|"[^"\r\n]*"|'[^'\r\n]*'|[^\r\n;|&])*)"""
_USER_COMMAND = re.compile(rf"(?<![\w-])((?:{_USER_PROGRAM})(?:\.exe)?){_REST}")
_PASSWORD_COMMAND = re.compile(rf"(?<![\w-])((?:{_CLIENT_PROGRAM})(?:\.exe)?){_REST}")

# An option, what stands between it and its value, the value; the words may be items of a list.
_VALUE = (
    r"""(\\?["']?(?:,\s{0,3}|\s{1,3}(?:\\\s{1,9})?)\\?["']?(?!-)|["']?)"""
    r"""((?<=["'])(?:[^"'\\\r\n]|\\(?!["']))+|[^\s"'`,]+)"""
)
_USER_WORDS = re.compile(rf"""(?<![^\s"'])({_USER_OPTION.pattern}){_VALUE}""")
_PASSWORD_WORDS = re.compile(rf"""(?<![^\s"'])({_PASSWORD_OPTION.pattern}){_VALUE}""")

# The name of a header and its value.
_PAIR = 2

_OPTION = re.compile(r"(--?[\w-]+=|[A-Za-z_]\w*=)?(.*)", re.DOTALL)
_OPTION_NAME = re.compile(r"--?[\w-]+=?|\w+=")
_NAMED_LINE = re.compile(r"([\w-]+):\s*\S.*", re.DOTALL)


def masked(value: Any) -> Any:  # noqa: ANN401 - plain values of JSON
    """Settings as plain JSON values, with secrets masked by their names and in texts."""
    if isinstance(value, Mapping):
        return _masked_object(value)
    if isinstance(value, list | tuple):
        is_paired = all(isinstance(one, list | tuple) and len(one) == _PAIR for one in value)
        return [_masked_pair(one) if is_paired else masked(one) for one in value]
    return _masked_setting(value) if isinstance(value, str) else value


def masked_texts(value: Any) -> Any:  # noqa: ANN401 - plain values of JSON
    """Plain JSON values with the secrets in their texts masked, whatever the names."""
    if isinstance(value, Mapping):
        return {name: masked_texts(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked_texts(inner) for inner in value]
    return masked_text(value) if isinstance(value, str) else value


def masked_text(text: str) -> str:
    """A running text with the secrets in it masked; all else unchanged."""
    text = _KEY.sub(MASK, text)
    if "://" in text:
        text = _ADDRESS.sub(_masked_address, text)
    text = _USER_COMMAND.sub(_masked_user_command, text)
    text = _PASSWORD_COMMAND.sub(_masked_password_command, text)
    text = _HEADER.sub(_masked_header, text)
    text = _SCHEME.sub(_masked_scheme, text)
    text = _PARAMETER.sub(_masked_random_parameter, text)
    text = _ASSIGNED.sub(_masked_assignment, text)
    return _TYPED.sub(_masked_assignment, text)


def masked_command(words: Sequence[str]) -> list[str]:
    """The words of a command, masked: options, JSON objects, headers and addresses."""
    shown = []
    program = None
    for option, word in zip(["", *words], words, strict=False):
        found = _PROGRAM.fullmatch(word)
        program = found or program
        hidden = word if program is None else _masked_login(program, option, word)
        if hidden == word:
            is_value = _is_secret_option(option) and not word.startswith("-")
            hidden = MASK if is_value else _masked_word(word)
        elif program is not None and program[2]:  # `sshpass -p password ssh -p 22`
            program = None
        shown.append(hidden)
    return shown


def _masked_object(found: Mapping[Any, Any]) -> dict[Any, Any]:
    """Mask an object: also one of a name and a value, as tools write headers."""
    if found.keys() in ({"name", "value"}, {"key", "value"}):
        [title] = found.keys() - {"value"}
        _, value = _masked_pair([found[title], found["value"]])
        return {**found, "value": value}
    return {
        name: MASK if inner and _is_secret(str(name)) else masked(inner)
        for name, inner in found.items()
    }


def _masked_pair(pair: Sequence[Any]) -> list[Any]:
    name, value = pair
    if isinstance(name, str) and value and _is_secret(name):
        return [name, MASK]
    return [masked(name), masked(value)]


def _masked_setting(text: str) -> str:
    """A text that stands alone: a header's line has no need to look random."""
    line = _NAMED_LINE.fullmatch(text)
    if line and _is_secret(line[1]):
        return f"{line[1]}: {MASK}"
    return masked_text(text)


def _masked_word(word: str) -> str:
    option, value = _OPTION.fullmatch(word).groups("")  # type: ignore[union-attr] # it always matches
    if value and _is_secret_option(option):
        return option + MASK
    try:
        found = json.loads(value) if value.lstrip().startswith("{") else None
    except ValueError:
        found = None
    if found is None:
        return option + _masked_setting(value)
    hidden = masked(found)
    return word if hidden == found else option + json.dumps(hidden, ensure_ascii=False)


def _masked_login(program: re.Match[str], before: str, word: str) -> str:
    """Mask a password in a word after a program's name, or after its option in the word."""
    option = _USER_OPTION if program[1] else _PASSWORD_OPTION
    is_after = option.fullmatch(before) and not word.startswith("-")
    found = None if is_after else option.match(word)
    start = found[0] if found else ""
    if (is_after or found) and _is_login(word[len(start) :], with_user=bool(program[1])):
        return start + MASK
    return word


def _is_login(value: str, *, with_user: bool) -> bool:
    """True for a password, or for one after a user's name; not for a variable in its place."""
    _, colon, password = value.partition(":") if with_user else ("", ":", value)
    return bool(colon and password) and not _PLACEHOLDER.fullmatch(password)


def _masked_user_command(command: re.Match[str]) -> str:
    return command[1] + _USER_WORDS.sub(_masked_user, command[2])


def _masked_user(words: re.Match[str]) -> str:
    option, sign, value = words.groups()
    return f"{option}{sign}{MASK}" if _is_login(value, with_user=True) else words[0]


def _masked_password_command(command: re.Match[str]) -> str:
    return command[1] + _PASSWORD_WORDS.sub(_masked_password, command[2], count=1)


def _masked_password(words: re.Match[str]) -> str:
    """Mask a password; a plain word after a blank may be a database or go on with a sentence."""
    option, sign, value = words.groups()
    is_word = sign.isspace() and value.strip(".,:)").isalpha() and value.islower()
    is_login = _is_login(value, with_user=False) and not is_word
    return f"{option}{sign}{MASK}" if is_login else words[0]


def _masked_address(address: re.Match[str]) -> str:
    inner = _USER.sub(f"{MASK}@", address[0])
    return _PARAMETER.sub(_masked_parameter, inner)


def _masked_parameter(parameter: re.Match[str]) -> str:
    is_secret = _is_secret(unquote_plus(parameter[1]))
    return f"{parameter[1]}={MASK}" if is_secret else parameter[0]


def _masked_random_parameter(parameter: re.Match[str]) -> str:
    return _masked_parameter(parameter) if _is_random(parameter[2]) else parameter[0]


def _masked_header(header: re.Match[str]) -> str:
    pieces = re.split(r"[\s;,=]+", header[3])
    is_secret = any(map(_is_random, pieces)) or any(map(_is_basic, header[3].split()))
    return f"{header[1]}{header[2]}{MASK}" if is_secret else header[0]


def _masked_scheme(scheme: re.Match[str]) -> str:
    is_secret = _is_random(scheme[2]) or _is_basic(scheme[2])
    return f"{scheme[1]}{MASK}" if is_secret else scheme[0]


def _masked_assignment(assigned: re.Match[str]) -> str:
    name, sign, value = assigned.groups()
    if _is_random(value) and _is_secret(name.lstrip("-")):
        return f"{name}{sign}{MASK}"
    return assigned[0]


def _is_random(text: str) -> bool:
    return _RANDOM.fullmatch(text) is not None


def _is_basic(text: str) -> bool:
    """True for a user's name and password in Base64."""
    try:
        found = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in found and found.isprintable()


def _is_secret_option(word: str) -> bool:
    """True for `--token`, `--api-key=` and `API_KEY=`; not for a word without either sign."""
    return _OPTION_NAME.fullmatch(word) is not None and _is_secret(word.strip("-="))


def _is_secret(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return _SECRET_NAME.search(words) is not None and _PLAIN_NAME.search(words) is None
