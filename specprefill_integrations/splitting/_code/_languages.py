"""Tables of programming languages: grammars, file names, node types, typical lines.

Data only. The node types of all languages share one table.
"""

from __future__ import annotations

GRAMMARS = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "c#": ("tree_sitter_c_sharp", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
"""For each language, the module of its grammar and the function that returns it."""

EXTENSIONS = {
    "bash": ("bash", "sh", "zsh", "ksh", "bats"),
    "c": ("c", "h"),
    "c#": ("cs", "csx"),
    "c++": ("cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "ipp", "tpp", "cu", "cuh", "ino"),
    "go": ("go",),
    "java": ("java",),
    "javascript": ("js", "mjs", "cjs", "jsx"),
    "php": ("php", "php5", "php7", "phtml"),
    "python": ("py", "pyi", "pyw"),
    "ruby": ("rb", "rake", "gemspec", "ru"),
    "rust": ("rs",),
    "tsx": ("tsx",),
    "typescript": ("ts", "mts", "cts"),
}
"""For each language, its file extensions."""

FILE_NAMES = {
    "bash": (".bashrc", ".bash_profile", ".profile", ".zshrc"),
    "python": ("sconstruct", "sconscript"),
    "ruby": ("gemfile", "rakefile", "vagrantfile"),
}
"""For each language, file names without an extension, in lower case."""

INTERPRETERS = {
    "bash": ("sh", "bash", "zsh", "ksh", "dash"),
    "javascript": ("node", "nodejs"),
    "php": ("php",),
    "python": ("python", "pypy"),
    "ruby": ("ruby",),
    "typescript": ("deno", "bun", "ts-node"),
}
"""For each language, its interpreters in a shebang line."""

_COMMENT_FORMS = {
    "# {marker}": "bash python ruby ex exs fish jl nim pl pm ps1 r rake tcl tf",
    "// {marker}": "c c# c++ go java javascript php rust tsx typescript dart fs groovy kt kts less "
    "m mm proto scala scss sol swift v zig",
    "-- {marker}": "sql hs lua elm",
    "/* {marker} */": "css",
    "% {marker}": "erl",
    ";; {marker}": "clj cljs el lisp scm",
    "(* {marker} *)": "ml mli",
    "' {marker}": "vb vbs",
}
COMMENTS = {name: form for form, names in _COMMENT_FORMS.items() for name in names.split()}
"""The form of a comment by language, or by file extension for languages without a grammar."""

FUNCTIONS = frozenset(
    {
        *("arrow_function", "class_static_block", "compact_constructor_declaration"),
        *("constructor_declaration", "conversion_operator_declaration", "destructor_declaration"),
        *("function_declaration", "function_definition", "function_expression", "function_item"),
        *("generator_function", "generator_function_declaration", "indexer_declaration"),
        *("local_function_statement", "macro_definition", "method", "method_declaration"),
        *("method_definition", "operator_declaration", "singleton_method", "static_initializer"),
    }
)
"""Node types of functions with a body."""

CONTAINERS = frozenset(
    {
        *("abstract_class_declaration", "annotation_type_declaration", "class"),
        *("class_declaration", "class_definition", "class_specifier", "enum_declaration"),
        *("enum_item", "enum_specifier", "foreign_mod_item", "impl_item", "interface_declaration"),
        *("internal_module", "linkage_specification", "mod_item", "module"),
        *("namespace_declaration", "namespace_definition", "preproc_elif", "preproc_else"),
        *("preproc_if", "preproc_ifdef", "record_declaration", "singleton_class"),
        *("struct_declaration", "struct_item", "struct_specifier", "trait_declaration"),
        *("trait_item", "type_declaration", "type_definition", "union_item", "union_specifier"),
    }
)
"""Node types of classes and other nodes with members."""

IMPORTS = frozenset(
    {
        *("extern_crate_declaration", "file_scoped_namespace_declaration"),
        *("future_import_statement", "import_declaration", "import_from_statement"),
        *("import_statement", "namespace_use_declaration", "package_clause"),
        *("package_declaration", "preproc_include", "use_declaration", "using_declaration"),
        "using_directive",
    }
)
"""Node types of imports, packages and namespaces."""

LEADS = frozenset(
    {
        *("access_specifier", "attribute", "attribute_declaration", "attribute_item"),
        *("attribute_list", "decorator", "marker_annotation"),
    }
)
"""Node types that belong to the next node. So do comments (types that end in `comment`)."""

TAILS = frozenset({"heredoc_body"})
"""Node types that belong to the previous node. So do brackets and words that close a block."""

GUARDS = frozenset({"#ifndef"})
"""Node types whose contents do not need them: mostly include guards."""

BLOCKS = frozenset(
    {
        *("block", "body_statement", "class_body", "compound_statement", "declaration_list"),
        *("do_group", "enum_body", "enum_declaration_list", "enum_variant_list"),
        *("enumerator_list", "field_declaration_list", "interface_body", "statement_block"),
        *("switch_block", "switch_body", "then"),
    }
)
"""Node types that only hold the statements or members of another node."""

WRAPPERS = {
    "ambient_declaration": "",
    "assignment_expression": "right",
    "decorated_definition": "definition",
    "export_statement": "declaration value",
    "expression_statement": "",
    "field_definition": "value",
    "lexical_declaration": "",
    "pair": "value",
    "public_field_definition": "value",
    "template_declaration": "",
    "variable_declaration": "",
    "variable_declarator": "value",
}
"""Node types that may hold a definition, with the fields to look in; empty: last named child."""

LEAVES = (
    *("char_literal", "comment", "heredoc_body", "heredoc_redirect", "heredoc", "jsx_text"),
    *("nowdoc", "regex", "string", "string_content", "string_expression", "string_literal"),
    *("template_string", "text"),
)
"""Suffixes of node types that are never looked into."""

EVIDENCE = {
    "bash": (
        r"(?:if|elif|while|until) .*; (?:then|do)$",
        r"(?:then|fi|esac|done)$",
        r"for \w+ in .*",
        r'case "?\$.*" in$',
        r"set -[eux]+(?:o pipefail)?$",
        r"(?:local|export|readonly|declare) \w+=",
        r"[\w-]+\(\) *\{$",
        r"echo [\"'$]",
        r"[A-Za-z_]+=[\"']?\$[({\w]",
    ),
    "c": (
        r"# *include *(?:<[\w/.-]+\.h>|\"[\w/.-]+\")$",
        r"# *(?:ifndef|ifdef|define|endif|undef)\b",
        r"(?:(?:static|extern|const) )*(?:void|int|char|\w+_t|bool) \**\w+\([^()]*\) *[{;]?$",
        r"typedef (?:struct|enum|union|unsigned|int|void|char)\b",
        r"(?:struct \w+|int|char|size_t|u?int\d+_t) \**\w+(?:\[\w*\])?(?: = .*)?;$",
    ),
    "c#": (
        r"using (?:static )?(?:System|Microsoft)(?:\.\w+)*;$",
        r"namespace [A-Z][\w.]*[;{]?$",
        r"(?:public|private|protected|internal) .*\{ get;.*\}",
        r"(?:public|private) (?:static |async |override )*[\w<>\[\]?]+ [A-Z]\w*\(.*\)$",
        r"(?:public|internal) (?:\w+ )?(?:class|record|struct|interface) \w+(?:<\w+>)?(?: : .*)?$",
        r"var \w+ = .*;$",
    ),
    "c++": (
        r"# *include *<\w+>$",
        r"using namespace \w+;$",
        r"template *<.*>",
        r"namespace [\w:]+ *\{$",
        r"(?:public|private|protected):$",
        r".*\bstd::\w+.*[;{,)]$",
        r"(?=.*\{$).*\w::~?\w+\(.*\)",
        r"(?:class|struct) \w+ (?:final )?: (?:public|private) ",
    ),
    "go": (
        r"package \w+$",
        r"func (?:\(\w+ \*?[\w\[\]]+\) )?\w+(?:\[.*\])?\(.*\{$",
        r"type \w+ (?:struct|interface) \{$",
        r"if err != nil \{$",
        r"import \($",
        r"[a-z]\w*(?:, \w+)* := ",
        r"defer \w+.*\)$",
    ),
    "java": (
        r"import (?:static )?(?:java|javax|jakarta|org|com|io|net)(?:\.\w+)+(?:\.\*)?;$",
        r"package [a-z][\w.]*;$",
        r"@(?:Override|Test|Autowired|Nullable|Deprecated)\b",
        r"(?:(?:public|private|static|final|abstract) )+(?:class|interface|enum) .*\{$",
        r"(?:(?:public|private|protected|static) )+[\w<>\[\],.? ]+\(.*\)(?: throws .*)? *[{;]$",
        r"(?:private|protected|public) (?:static )?(?:final )?[\w<>\[\], ]+ \w+(?: = .*)?;$",
    ),
    "javascript": (
        r"(?:const|let|var) (?:\w+|\{[\w, ]+\}|\[[\w, ]+\]) = ",
        r"(?:export (?:default )?)?(?:async )?function\*? *\w*\(.*\) *\{$",
        r"(?:import|export) (?:.* from )?['\"].*['\"];?$",
        r"module\.exports\b",
        r".*\brequire\(['\"].*['\"]\)",
        r".*(?:=>|\bfunction *\(.*\)) *\{$",
        r".*(?:===|!==).*[{;)]$",
        r"export (?:default )?(?:const|let|class) ",
        r"['\"]use strict['\"];?$",
    ),
    "php": (
        r"<\?php\b",
        r"(?:public|private|protected) (?:static )?function ",
        r"\$\w+ = .*;$",
        r"\$this->\w+",
        r"use [A-Z]\w*(?:\\\w+)+.*;$",
        r"function \w+\(.*\$\w+.*\)",
    ),
    "python": (
        r"(?:async )?def \w+\(.*[:(,]$",
        r"class \w+(?:\(.*\))?:$",
        r"from [\w.]+ import [\w(*]",
        r"import [\w.]+(?: as \w+)?$",
        r"(?:if|elif|while) .*[\w)\]\"']:$",
        r"for [\w, ()]+ in .*:$",
        r"(?:else|try|finally|except.*):$",
        r"with .* as \w+:$",
        r"self\.\w+ = ",
    ),
    "ruby": (
        r"require(?:_relative)? ['\"].*['\"]$",
        r"def (?:self\.)?\w+[?!]?(?:\(.*\))?$",
        r"class [A-Z]\w*(?: < [A-Z][\w:]*)?$",
        r"module [A-Z]\w*$",
        r"end$",
        r"attr_\w+ :",
        r".* do \|.*\|$",
        r"(?:puts ['\"]|raise [A-Z]\w+)",
    ),
    "rust": (
        r"(?:pub(?:\(\w+\))? )?(?:async |unsafe |const )*fn \w+.*(?:[{(;,>]|where)$",
        r"let (?:mut )?\w+(?:: .*)? = .*[;{(]$",
        r"use (?:std|crate|super|self|\w+)::.*[;{]$",
        r"impl(?:<.*>)? .*\{$",
        r"#!?\[\w+.*\]$",
        r"(?:pub )?(?:struct|enum|trait|mod) \w+.*[{;(]$",
        r".*\b\w+!\(.*\);$",
    ),
    "typescript": (
        r"(?:export )?(?:declare )?(?:interface|enum|namespace) \w+.*\{$",
        r"(?:export )?type \w+(?:<.*>)? =",
        r"import type ",
        r"(?:public|private|protected|readonly) \w+\??: .*[;{]$",
        r".*\w\??: (?:string|number|boolean|void|unknown|any|never)\b(?:\[\])? *[;,){=|]",
        r".*\): (?:Promise<.*>|[\w<>\[\]|]+) *(?:\{|=>)",
    ),
}
"""For each language, patterns of lines that are rare in any other text."""
