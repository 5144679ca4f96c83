"""Compilers, build tools and what reads their programs."""

from __future__ import annotations

from pathlib import Path

from tests.tool_outputs.recipe import recipe, run, write

_PARTS = ("cart", "stock", "mail", "tax", "refund", "search", "login", "export", "report", "queue")


@recipe(
    "for f in *.c; do gcc -Wall -Wextra -c $f; done",
    "Why does the build fail?",
    r"^tax\.c:\d+:\d+: error: .struct order. has no member named .vat.",
    r"^queue\.c:\d+:\d+: error: .capacity. undeclared.*",
    works="command -v gcc",
)
def _gcc(folder: Path) -> None:
    for part in _PARTS[2:]:
        broken = {
            "tax": "int rate(struct order *o) { return o->vat; }",
            "queue": "int full(int n) { return n >= capacity; }",
        }
        functions = "\n".join(
            f"int {part}_{i}(int count, char *label) {{\n    int spare{i};\n"
            f"    if (count > sizeof(label)) return -1;\n    return count + {i};\n}}"
            for i in range(3)
        )
        top = "struct order { int id; int total; };\n"
        write(folder, {f"{part}.c": f"{top}{functions}\n{broken.get(part, '')}\n"})


@recipe(
    "g++ -std=c++17 -c report.cpp",
    "Which line of my own code makes the template fail, and what is the compiler missing?",
    r"^report\.cpp:\d+:\d+:\s+required from here",
    r"error: no match for .operator<.*",
    works="command -v g++",
)
def _template_error(folder: Path) -> None:
    source = """
    #include <algorithm>
    #include <string>
    #include <vector>

    struct Booking { std::string guest; int nights; };

    int main() {
        std::vector<Booking> bookings = {{"Lovelace", 3}, {"Hopper", 2}};
        std::sort(bookings.begin(), bookings.end());
        return bookings.front().nights;
    }
    """
    write(folder, {"report.cpp": source})


@recipe(
    "make -k",
    "Which file could not be built because something it depends on is missing?",
    r"^make(?:\[1\])?: \*\*\* No rule to make target 'fonts/serif\.ttf', needed by.*",
)
def _make(folder: Path) -> None:
    pages = [f"page{i:02}" for i in range(45)]
    targets = " ".join(f"out/{page}.pdf" for page in pages[:30])
    late = " ".join(f"out/{page}.pdf" for page in pages[30:])
    rules = f"all: {targets} out/invoice.pdf {late}\n\nout/invoice.pdf: page00.md fonts/serif.ttf\n"
    rules += "\tcp $< $@\n\nout/%.pdf: %.md\n\t@mkdir -p out\n"
    rules += "\tsed -e 's/draft/final/' -e '/^#!/d' $< > $@\n\t@echo \"$* laid out, 1 page\"\n"
    write(folder, {"Makefile": rules, **{f"{page}.md": f"# {page} draft\n" for page in pages}})


@recipe(
    "javac -Xlint:all -d out *.java",
    "Which method does the compiler not know, and where is it called?",
    r"^Warehouse\.java:\d+: error: cannot find symbol",
    r"^  symbol:   method reserve\(int\)",
)
def _javac(folder: Path) -> None:
    for name in ("Shelf", "Order", "Parcel", "Courier", "Invoice", "Customer", "Warehouse"):
        methods = "\n".join(
            f"    List items{i}(Object given) {{\n"
            f"        List<String> all = (List<String>) given;\n"
            f"        all.add({i} + name);\n        return all;\n    }}"
            for i in range(3)
        )
        last = "    void take() { new Order().reserve(3); }\n" if name == "Warehouse" else ""
        text = f"import java.util.*;\n\nclass {name} {{\n    String name;\n{methods}\n{last}}}\n"
        write(folder, {f"{name}.java": text})


@recipe(
    "java Nightly.java",
    "What was the root cause of the crash, and where did it happen?",
    r"^Caused by: java\.lang\.NumberFormatException: For input string: \"12,50\"",
    r"\bat Nightly\.price\(Nightly\.java:\d+\)",
    works="command -v java && command -v javac",
)
def _java_stack_trace(folder: Path) -> None:
    steps = "\n".join(
        f"    static void step{i}(String[] rows) {{ "
        + (
            f"step{i + 1}(rows); }}"
            if i % 6
            else f"try {{ step{i + 1}(rows); }} catch "
            f'(RuntimeException e) {{ throw new IllegalStateException("step {i} gave up", e); }} }}'
        )
        for i in range(1, 31)
    )
    source = f"""
public class Nightly {{
    static int price(String text) {{ return Integer.parseInt(text); }}
    static void step31(String[] rows) {{ for (String row : rows) price(row); }}
{steps}
    public static void main(String[] none) {{ step1(new String[] {{"11", "12,50"}}); }}
}}
"""
    write(folder, {"Nightly.java": source})


@recipe(
    "rustc --crate-type lib lib.rs",
    "Why is the code rejected, and where?",
    r"^error\[E0382\]: borrow of moved value: `basket`",
    r"^\s*--> lib\.rs:\d+:\d+(?=\n(?:.*\n){1,4}.*let basket)",
    works="rustc --version",
)
def _rustc(folder: Path) -> None:
    functions = "\n".join(
        f"pub fn part_{i}(given: u32) -> u32 {{\n    let spare_{i} = given + {i};\n    {i}\n}}"
        for i in range(10)
    )
    broken = """
pub fn check_out(names: Vec<String>) -> usize {
    let basket = names;
    let sent = basket;
    sent.len() + basket.len()
}
"""
    write(folder, {"lib.rs": f"{functions}\n{broken}"})


@recipe(
    "ctest",
    "Which test didn't pass?",
    r"upload_resumes_after_timeout (?:\(Failed\)|\.+\*\*\*Failed)",
    works="command -v cmake && command -v ctest",
)
def _ctest(folder: Path) -> None:
    names = [
        f"{part}_{what}"
        for part in _PARTS
        for what in (
            "is_empty",
            "round_trips",
            "rejects_nulls",
            "keeps_order",
            "is_thread_safe",
            "survives_restart",
        )
    ]
    names.insert(41, "upload_resumes_after_timeout")
    names += [f"legacy_{i}" for i in range(70 - len(names))]
    lines = [
        f"add_test({name} {'/bin/false' if name.startswith('upload') else '/bin/true'})"
        for name in names
    ]
    write(folder, {"CTestTestfile.cmake": "\n".join(lines) + "\n"})


@recipe(
    "gcc --coverage -c bill.c && gcc --coverage -o bill bill.o && ./bill; gcov -t bill.c",
    "Which part of the discount code was never run?",
    r"^\s+#####:\s+\d+:\s+return price \* 80 / 100;",
    works="command -v gcc && command -v gcov",
)
def _gcov(folder: Path) -> None:
    functions = "\n".join(
        f"static int fee_{i}(int price) {{\n    if (price > {i * 10})\n"
        f"        return price + {i};\n    return price;\n}}\n"
        for i in range(14)
    )
    discount = (
        "static int discount(int price, int years) {\n    if (years > 9)\n"
        "        return price * 80 / 100;\n    if (years > 1)\n        return price * 95 / 100;\n"
        "    return price;\n}\n"
    )
    calls = "".join(
        f"    sum += fee_{i}({i * 10 - 5}) + fee_{i}({i * 10 + 5});\n" for i in range(14)
    )
    main = f"int main(void) {{\n    int sum = discount(100, 4) + discount(100, 0);\n{calls}"
    write(folder, {"bill.c": f"{functions}\n{discount}\n{main}    return sum == 0;\n}}\n"})


@recipe(
    "valgrind --leak-check=full --show-leak-kinds=all ./shop",
    "Which function allocated the biggest block that is never freed?",
    r"4,096 bytes in 1 blocks are definitely lost.*",
    r"\bload_catalog \(shop\.c:\d+\)",
    works="command -v gcc && valgrind true",
)
def _valgrind(folder: Path) -> None:
    names = ("address", "banner", "basket", "coupon", "session", "cookie", "voucher", "parcel")
    makers = "\n".join(
        f"void *{name}_new(int n) {{\n    char *made = malloc(n);\n    made[0] = 0;\n"
        f"    return made;\n}}"
        for name in names
    )
    calls = "\n".join(f"    {name}_new({16 + 8 * i});" for i, name in enumerate(names))
    catalog = "void load_catalog(void) {\n    char *rows = malloc(4096);\n    rows[0] = 0;\n}\n"
    main = f"int main(void) {{\n{calls}\n    load_catalog();\n    return 0;\n}}\n"
    write(folder, {"shop.c": f"#include <stdlib.h>\n{makers}\n{catalog}{main}"})
    run("gcc -g -O0 -o shop shop.c", folder)


_PROGRAM = """
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int catalog_size = 512;
static int hits[40];
int parse_amount(const char *text) { return atoi(text); }
int apply_discount(int price, int years) { return years > 9 ? price * 8 / 10 : price; }
double round_half_up(double value) { return floor(value + 0.5); }
void check_total(int total) { if (total < 0) abort(); hits[total % 40]++; }
int print_receipt(int total) { return printf("total %d, %d\\n", total, catalog_size); }
int main(int n, char **given) {
    int total = apply_discount(parse_amount(given[n - 1]), n);
    check_total(total);
    return print_receipt((int) round_half_up(total));
}
"""


@recipe(
    "gcc -O0 -o shop shop.c -lm && objdump -d shop",
    "Which function may abort the program?",
    r"<check_total>:",
    r"\bcall.*<abort@plt>",
    works="command -v gcc && command -v objdump",
)
def _objdump(folder: Path) -> None:
    write(folder, {"shop.c": _PROGRAM})


@recipe(
    "gcc -O0 -g -o shop shop.c -lm && readelf -W -h -l -d -s shop",
    "Which shared libraries must be installed to run this program?",
    r"\(NEEDED\)\s+Shared library: \[libm\.so\.6\]",
    r"\(NEEDED\)\s+Shared library: \[libc\.so\.6\]",
    works="command -v gcc && command -v readelf",
)
def _readelf(folder: Path) -> None:
    write(folder, {"shop.c": _PROGRAM})


@recipe(
    "gcc -O0 -static-libgcc -o shop shop.c parts.c -lm && nm -S shop",
    "How large is the function that rounds amounts?",
    r"^\w+ \w+ T round_half_up",
    works="command -v gcc && command -v nm",
)
def _nm(folder: Path) -> None:
    parts = "\n".join(
        f"int {part}_{what}(int n) {{ return n * {len(part)} + {len(what)}; }}"
        for part in _PARTS
        for what in ("open", "close", "count", "reset", "merge", "print")
    )
    write(folder, {"shop.c": _PROGRAM, "parts.c": parts})
