"""Agreements in numbered clauses with headings."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clause:
    heading: str
    """What a review calls it."""

    other_heading: str
    """What else an agreement may call it."""

    sort: str
    """The sort of the value."""

    rule: tuple[str, ...]
    """The sentence that matters, with the value."""

    around: tuple[str, ...]
    """Sentences that stand before or after it."""

    asked: tuple[str, ...]
    """Plain questions."""


_CLAUSES = (
    _Clause(
        heading="Governing Law",
        other_heading="Applicable Rules",
        sort="region",
        rule=(
            (
                "This Agreement shall be construed in accordance with the laws of {v}, "
                "without regard to its conflict of laws principles."
            ),
            "All matters arising hereunder are subject to the statutes of {v}.",
        ),
        around=("The United Nations convention on the sale of goods shall not apply.",),
        asked=(
            "Which country's law governs the interpretation of the contract?",
            "Under whose legal system does the agreement fall?",
        ),
    ),
    _Clause(
        heading="Dispute Resolution",
        other_heading="Arbitration",
        sort="town",
        rule=(
            (
                "Any controversy that cannot be settled amicably shall be submitted to a panel of "
                "three arbitrators sitting in {v}."
            ),
        ),
        around=(
            "Each side bears the fees of its own counsel.",
            "The language of the proceedings is English.",
        ),
        asked=("Where would a conflict between the parties be decided?",),
    ),
    _Clause(
        heading="Term",
        other_heading="Duration",
        sort="deadline",
        rule=(
            "Unless ended earlier as set out herein, this Agreement remains in force until {v}.",
        ),
        around=("It takes effect when the last signature has been affixed.",),
        asked=("When does the contract expire?", "How long does the agreement run?"),
    ),
    _Clause(
        heading="Renewal",
        other_heading="Extension",
        sort="days",
        rule=(
            (
                "Thereafter it shall be prolonged automatically for successive periods of one "
                "year, unless either party objects at least {v} before the current period ends."
            ),
        ),
        around=("Prices may be reviewed on such occasions.",),
        asked=("How much notice is needed to stop the contract from being renewed?",),
    ),
    _Clause(
        heading="Termination For Convenience",
        other_heading="Ending the Agreement",
        sort="days",
        rule=(
            (
                "The Customer may terminate this Agreement at any time, for any reason or "
                "none, by giving {v} written notice."
            ),
        ),
        around=("Amounts already invoiced remain payable.",),
        asked=("Can the client leave the contract without cause, and how fast?",),
    ),
    _Clause(
        heading="Cap On Liability",
        other_heading="Limits",
        sort="money",
        rule=(
            (
                "In no event shall the aggregate liability of either party exceed {v}, whether in "
                "contract, tort or otherwise."
            ),
        ),
        around=("Nothing herein excludes responsibility for fraud or personal injury.",),
        asked=("What is the maximum amount of damages one side can owe the other?",),
    ),
    _Clause(
        heading="Insurance",
        other_heading="Coverage",
        sort="money",
        rule=(
            (
                "The Supplier shall maintain, at its own cost, a policy with a limit of not "
                "less than {v} per occurrence."
            ),
        ),
        around=("Certificates shall be shown upon request.",),
        asked=("What sum must the provider be insured for?",),
    ),
    _Clause(
        heading="Non-Compete",
        other_heading="Other Business",
        sort="product",
        rule=(
            (
                "During the term and for two years afterwards the Distributor shall not offer "
                "{v} made by anybody else."
            ),
        ),
        around=("Stock held at the date of signature may be sold off.",),
        asked=("Which rival goods is the reseller forbidden to sell?",),
    ),
    _Clause(
        heading="Exclusivity",
        other_heading="Territory",
        sort="region",
        rule=(
            (
                "Within {v} the Supplier shall appoint no second dealer and refrain from selling "
                "directly."
            ),
        ),
        around=("Sales through international web shops are tolerated.",),
        asked=("In which area does the dealer have sole rights?",),
    ),
    _Clause(
        heading="Minimum Commitment",
        other_heading="Quantities",
        sort="tonnes",
        rule=(
            (
                "In every contract year the Customer shall order no less than {v}, failing "
                "which the difference is invoiced."
            ),
        ),
        around=("Rolling forecasts are given for information only.",),
        asked=("How much does the buyer have to purchase annually?",),
    ),
    _Clause(
        heading="Payment Terms",
        other_heading="Invoices",
        sort="days",
        rule=("Undisputed sums fall due {v} after receipt of the bill.",),
        around=("Bank charges are borne by the sender.",),
        asked=("How quickly does the customer have to pay?",),
    ),
    _Clause(
        heading="Audit Rights",
        other_heading="Books and Records",
        sort="person",
        rule=(
            (
                "Once a year {v}, or another accountant bound to secrecy, may inspect the books "
                "of the Licensee during office hours."
            ),
        ),
        around=("Papers shall be kept for seven years.",),
        asked=("Who is allowed to examine the accounts?",),
    ),
    _Clause(
        heading="Anti-Assignment",
        other_heading="Transfer",
        sort="person",
        rule=(
            (
                "Neither party may make over its rights or duties to a third person without "
                "the prior consent of {v}, which shall not be withheld unreasonably."
            ),
        ),
        around=("A merger within the same group is not affected.",),
        asked=("Whose approval is required before the contract can be passed on to others?",),
    ),
    _Clause(
        heading="Warranty Duration",
        other_heading="Quality",
        sort="days",
        rule=(
            "Defects that show within {v} of delivery are repaired free of charge.",
            "For {v} from handover the Supplier answers for faults in material and workmanship.",
        ),
        around=("Normal wear is no fault.",),
        asked=("For how long are the goods guaranteed?",),
    ),
    _Clause(
        heading="Liquidated Damages",
        other_heading="Delay",
        sort="money",
        rule=("For each full week of lateness a lump sum of {v} becomes owing without proof.",),
        around=("Strikes and storms extend the schedule.",),
        asked=("What is the penalty for delivering too late?",),
    ),
    _Clause(
        heading="Source Code Escrow",
        other_heading="Deposit",
        sort="stem",
        rule=(
            (
                "A complete copy of the program sources is lodged with the notary office {v}, "
                "to be released if the Supplier becomes insolvent."
            ),
        ),
        around=("The deposit is brought up to date after each major version.",),
        asked=("With whom is the software's source stored for safekeeping?",),
    ),
    _Clause(
        heading="Notices",
        other_heading="Communication",
        sort="person",
        rule=("Formal declarations are valid only if sent by registered mail to {v}.",),
        around=("E-mail is sufficient for day-to-day matters.",),
        asked=("To whom must official letters be addressed?",),
    ),
    _Clause(
        heading="Change Of Control",
        other_heading="Ownership",
        sort="few",
        rule=(
            (
                "Should more than {v} percent of the shares in the Supplier pass into other "
                "hands, the Customer may step out of this Agreement."
            ),
        ),
        around=("Any such event shall be announced at once.",),
        asked=("At what share of a takeover can the client withdraw?",),
    ),
    _Clause(
        heading="Revenue Sharing",
        other_heading="Royalties",
        sort="few",
        rule=("Of the net proceeds from sublicenses, {v} percent belong to the Licensor.",),
        around=("Statements are drawn up each quarter.",),
        asked=("What part of the income goes to the owner of the rights?",),
    ),
    _Clause(
        heading="License Grant",
        other_heading="Use",
        sort="software",
        rule=(
            (
                "The Licensor hereby grants a non-transferable right to run the Program for "
                "{v}, and for no other purpose."
            ),
        ),
        around=("Copies for backup are permitted.",),
        asked=("What may the software be used for?",),
    ),
)
_GENERAL = (
    "Headings are for convenience only and do not affect the meaning of any provision.",
    "No failure to exercise a right hereunder shall operate as a waiver of it.",
    "The parties have obtained independent advice on this point.",
    "Capitalized words have the meaning given to them in Annex {few}.",
    "If a provision is held invalid, the remainder of this Agreement continues in full effect.",
    "Both parties shall act in good faith and keep each other informed in due time.",
    "This obligation survives the end of the contractual relationship.",
    "Further details are laid down in a schedule signed on {modern_date}.",
    "Amendments require the written form, and so does a waiver of this requirement.",
    "The provisions of the preceding clause apply accordingly.",
)
_HIGHLIGHTS = (
    (
        'Highlight the parts (if any) of this contract related to "{heading}" that should be '
        "reviewed by a lawyer. Details: {question}"
    ),
    'Highlight the parts (if any) of this contract related to "{heading}".',
)
_OPENING = (
    "{heading} AGREEMENT\n\nThis Agreement is made between {first} Ltd., a company with its seat "
    'in {town} (the "Supplier" or "Licensor"), and {second} Inc., represented by {person} (the '
    '"Customer", "Distributor" or "Licensee").'
)


def contract(draw: Draw, chars: int) -> MarkedCase:
    """Make a case of one agreement.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the agreement has.

    Returns:
        The case.
    """
    asked, *others = draw.shuffled(_CLAUSES)
    value, padding = draw[asked.sort], draw.number(0, 2)
    draw.reserve(value)
    clauses = [_clause(draw, asked, value, asked=True)]
    while sum(len(clause) + 5 for clause in clauses) < 0.88 * chars:
        if others:
            clause = others.pop()
            clauses.append(_clause(draw, clause, draw[clause.sort], padding=padding))
        else:
            clauses.append(f"Miscellaneous\n{_general(draw, 3)}")
    numbered = [f"{number}. {text}" for number, text in enumerate(draw.shuffled(clauses), 1)]
    text = "\n\n".join([_opening(draw), *numbered])
    return MarkedCase(query=_query(draw, asked), answer=value, texts=(text,))


def _query(draw: Draw, asked: _Clause) -> str:
    question = draw.choice(asked.asked)
    if draw.chance(50):
        return question
    return draw.choice(_HIGHLIGHTS).format(heading=asked.heading, question=question)


def _clause(
    draw: Draw, clause: _Clause, value: str, *, asked: bool = False, padding: int = 1
) -> str:
    heading = draw.choice((clause.heading, clause.other_heading, clause.other_heading))
    rule = draw.choice(clause.rule).format(v=value)
    sentences = [mark(rule) if asked else rule, *clause.around]
    if padding:
        sentences.append(_general(draw, padding))
    return f"{heading}\n{' '.join(draw.shuffled(sentences))}"


def _general(draw: Draw, sentences: int) -> str:
    return " ".join(draw.deal("general", _GENERAL).format_map(draw) for _ in range(sentences))


def _opening(draw: Draw) -> str:
    return _OPENING.format(
        heading=draw.choice(("SUPPLY", "LICENSE", "DISTRIBUTION", "SERVICE", "COOPERATION")),
        first=draw["stem"],
        town=draw["town"],
        second=draw["stem"],
        person=draw["person"],
    )
