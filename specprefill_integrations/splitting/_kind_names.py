"""Kinds of text by file extension and MIME type. Data only."""

from __future__ import annotations

import re

from specprefill_integrations.types import Kind

_EXTENSIONS: dict[Kind, str] = {
    "markdown": "md markdown mdx mkd qmd rmd",
    "markup": "rst rest adoc asciidoc asc tex ltx latex man mdoc roff nroff org wiki mediawiki bib "
    "1 2 3 4 5 6 7 8 9 3p 1p",
    "code": "py pyi pyx js mjs cjs jsx ts mts cts tsx java kt kts scala groovy go rs c h cc cpp "
    "cxx hpp hh hxx m mm cs fs vb swift rb php pl pm lua r jl dart ex exs erl hs ml clj zig nim "
    "sol sh bash zsh fish ps1 sql css scss less vue svelte proto tf",
    "json": "json geojson webmanifest ipynb har jsonc json5",
    "jsonl": "jsonl ndjson jsonlines",
    "yaml": "yaml yml",
    "toml": "toml",
    "ini": "ini cfg cnf conf properties env desktop service socket timer mount target unit "
    "editorconfig gitconfig gitmodules npmrc pylintrc flake8 reg inf",
    "xml": "xml svg rss atom pom xsd xsl xslt wsdl xaml csproj vbproj fsproj props targets plist "
    "kml gpx xlf xliff resx docbook opml iml jrxml fxml nuspec",
    "csv": "csv tsv tab psv",
    "log": "log",
    "diff": "diff patch",
    "html": "html htm xhtml",
    "mail": "eml mbox mbx",
    "chat": "fountain",
    "subtitles": "srt vtt sbv",
}

_MIME_TYPES: dict[Kind, str] = {
    "markdown": "text/markdown text/x-markdown",
    "markup": "text/x-rst text/prs.fallenstein.rst text/x-tex application/x-tex text/x-latex "
    "text/troff application/x-troff-man text/asciidoc text/x-asciidoc text/org text/x-bibtex "
    "application/x-bibtex",
    "code": "text/javascript application/javascript application/x-javascript text/css "
    "application/x-sh application/x-shellscript application/typescript application/x-httpd-php "
    "application/sql text/x-python text/x-script.python application/x-python-code text/x-java "
    "text/x-java-source text/x-c text/x-csrc text/x-chdr text/x-c++src text/x-c++hdr text/x-c++ "
    "text/x-go text/x-rust text/x-ruby text/x-php text/x-perl text/x-lua text/x-sh text/x-kotlin "
    "text/x-scala text/x-swift text/x-typescript text/x-csharp text/x-sql text/rust",
    "json": "application/json text/json",
    "jsonl": "application/jsonl application/x-ndjson application/ndjson application/json-lines "
    "application/jsonlines application/x-jsonlines",
    "yaml": "application/yaml application/x-yaml text/yaml text/x-yaml text/vnd.yaml",
    "toml": "application/toml text/toml text/x-toml",
    "ini": "text/x-ini text/x-properties text/x-java-properties application/x-desktop",
    "xml": "application/xml text/xml application/rss+xml application/atom+xml image/svg+xml",
    "mail": "message/rfc822 application/mbox",
    "subtitles": "text/vtt application/x-subrip",
    "csv": "text/csv application/csv text/tab-separated-values",
    "log": "text/x-log",
    "diff": "text/x-diff text/x-patch",
    "html": "text/html application/xhtml+xml",
}

_KIND_OF_EXTENSION = {name: kind for kind, names in _EXTENSIONS.items() for name in names.split()}
_KIND_OF_MIME_TYPE = {name: kind for kind, names in _MIME_TYPES.items() for name in names.split()}

# Rotated logs too: app.log.1, app.log.2024-05-01; and .env.local.
_EXTENSION = re.compile(r"\.(?:(log)\.\d[\w.-]{0,30}|(env)\.\w{1,20}|(\w{1,12}))$")


def kind_of_name(name: str) -> Kind | None:
    """The kind that a file name indicates; None if it is not specific."""
    found = _EXTENSION.search(name.strip())
    return _KIND_OF_EXTENSION.get((found[1] or found[2] or found[3]).lower()) if found else None


def kind_of_mime_type(mime_type: str) -> Kind | None:
    """The kind that a MIME type indicates; None if it is not specific."""
    name = mime_type.partition(";")[0].strip().lower()
    if name.endswith("+json"):
        return "json"
    if name.endswith("+yaml"):
        return "yaml"
    found = _KIND_OF_MIME_TYPE.get(name)
    return "xml" if found is None and name.endswith("+xml") else found
