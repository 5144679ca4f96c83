"""What the probe's encyclopedia tells: sorts of things, what is said and asked. Data only.

`{v}` is the attribute's value, `{name}` the thing as a question says it, `{S}` and `{s}` the thing
at the start of a sentence and within it, `{he}`, `{his}` and `{him}` its pronouns. Any other name
is a fresh value of that sort.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing to be told and asked about a subject."""

    sort: str
    """The sort of its value."""

    statements: tuple[str, ...]
    """Sentences that tell it."""

    questions: tuple[str, ...]
    """Questions that ask for it in other words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A sort of thing that passages are about."""

    names: tuple[str, ...]
    """Forms of its name; one that starts with `the` takes an article."""

    nouns: tuple[str, ...]
    """What a passage calls it."""

    copula: str = "is"
    """Whether it is or was."""

    about: tuple[str, ...]
    """What follows the noun where it is introduced."""

    attributes: tuple[Attribute, ...]
    """What can be asked."""

    fillers: tuple[str, ...]
    """Sentences that answer nothing."""


GENERAL_FILLERS = (
    "Little else is known about the early period.",
    "Visitors often remark on the unusual quiet of the surroundings.",
    "A short article on the matter appeared in the {region} Gazette.",
    "Several photographs survive, most of them taken on a single rainy afternoon.",
    "Opinions differ widely.",
    "The older literature gives a rather different account, which is now considered unreliable.",
    "An exhibition on the topic drew {count} people.",
    "Much of what is commonly repeated goes back to a single newspaper column.",
    "{S} is sometimes confused with others of a similar name.",
    "A local society, chaired by {person}, keeps a modest archive of letters and maps.",
    "Schoolchildren in {town} still learn a song about it.",
    "Not all of these claims have been checked.",
)

SUBJECTS = (
    Subject(
        names=("{first} {stem}",),
        nouns=("engineer", "painter", "composer", "surveyor", "physician", "chemist", "architect"),
        copula="was",
        about=("from {region}", "of the generation between the wars", "and occasional essayist"),
        attributes=(
            Attribute(
                "town",
                (
                    "A native of {v}, {s} left home at the age of nineteen.",
                    "{S} was born in {v}, where the family ran a small bakery.",
                    "{S} spent {his} first years in {v}, as the youngest of seven children.",
                ),
                (
                    "Where did {name} grow up?",
                    "Which place did {name} come from originally?",
                    "hometown of {name}",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} died in {v} after a short illness.",
                    "A stroke ended {his} life in the autumn of {v}.",
                ),
                (
                    "In which year did {name} pass away?",
                    "When was the death of {name}?",
                    "what year did {name} decease",
                ),
            ),
            Attribute(
                "person",
                (
                    "{S} learned the craft from {v}, whom {he} later called a merciless critic.",
                    "For six years {v} gave {him} lessons in a cold attic above a printing shop.",
                ),
                (
                    "Who taught {name}?",
                    "Whose pupil was {name}?",
                    "Who was the mentor of {name} during the early career?",
                ),
            ),
            Attribute(
                "person",
                (
                    "{S} married {v}, a translator who had travelled widely.",
                    "The wedding with {v} took place quietly, with only two witnesses.",
                ),
                (
                    "Who was the spouse of {name}?",
                    "To whom was {name} wed?",
                    "name of {name}'s husband or wife",
                ),
            ),
            Attribute(
                "device",
                (
                    "Among specialists {s} is remembered for {v}, which {he} never patented.",
                    "After many failed attempts {s} built {v} that worked even in bad weather.",
                ),
                (
                    "What did {name} invent?",
                    "Which technical creation is {name} known for?",
                ),
            ),
            Attribute(
                "instrument",
                (
                    "{S} played the {v} in an amateur group until old age.",
                    "Friends recall long evenings on which {s} practised the {v} by candlelight.",
                ),
                (
                    "What musical skill did {name} have?",
                    "On what did {name} make music in spare hours?",
                ),
            ),
            Attribute(
                "town",
                (
                    "The last years of {his} life were spent in {v}, in a house with an orchard.",
                    "When {his} eyesight failed, {s} withdrew to {v} and saw almost no one.",
                ),
                (
                    "Where did {name} live after retirement?",
                    "To which place did {name} retire?",
                ),
            ),
        ),
        fillers=(
            "{S} was known as a tireless writer of letters.",
            "A portrait of {him} by {person} hangs in a private collection.",
            "{His} notebooks, about {few} of them, were sold at auction.",
            "Contemporaries describe {him} as generous, impatient and always late.",
            "{S} never learned to drive.",
        ),
    ),
    Subject(
        names=("the {stem} River", "the Upper {stem}", "the {stem} Brook", "the {stem} Water"),
        nouns=("river", "stream"),
        about=("in the north of {region}", "of moderate size in {region}", "in eastern {region}"),
        attributes=(
            Attribute(
                "kilometres",
                (
                    "From source to mouth {s} measures {v}.",
                    "{S} runs for {v}, about half of it through open farmland.",
                ),
                ("How long is {name}?", "what is the total length of {name}"),
            ),
            Attribute(
                "stem",
                (
                    "{S} rises on the slopes of Mount {v}, close to an abandoned mine.",
                    "Its springs lie below Mount {v}, where snow stays until June.",
                ),
                (
                    "Where is the source of {name}?",
                    "At which peak does {name} begin?",
                    "origin of {name}",
                ),
            ),
            Attribute(
                "stem",
                (
                    "{S} finally empties into Lake {v} through a marshy delta.",
                    "After a last bend to the west {s} joins Lake {v}.",
                ),
                (
                    "Which body of water does {name} flow into?",
                    "What is at the mouth of {name}?",
                    "where does {name} end",
                ),
            ),
            Attribute(
                "town",
                (
                    "The largest settlement on its banks is {v}, known for a weekly market.",
                    "Most of the people who live beside {him} are found in {v}.",
                ),
                (
                    "What is the main town along {name}?",
                    "Which is the biggest community by {name}?",
                ),
            ),
            Attribute(
                "year",
                (
                    "In {v} {s} broke through the dikes and drowned hundreds of cattle.",
                    "The highest water ever recorded came in {v}, when entire streets vanished.",
                ),
                (
                    "When did {name} have its worst flood?",
                    "year of the great inundation of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "The first map to show {him} correctly was drawn by {v}.",
                    "It was {v} who first followed the whole course on foot and sketched it.",
                ),
                (
                    "Who charted {name}?",
                    "Which explorer surveyed {name} for the first time?",
                ),
            ),
            Attribute(
                "cargo",
                (
                    "For two centuries barges carried {v} downstream.",
                    "Until the railway came, {v} went down {s} on flat boats.",
                ),
                (
                    "What goods used to be shipped on {name}?",
                    "which freight was once transported along {name}",
                ),
            ),
        ),
        fillers=(
            "Kayakers value {him} for a series of easy rapids.",
            "The water is clear and cold, even in August.",
            "At the old mill the level is measured twice a day.",
            "{S} has {few} named tributaries, few of which carry water all year.",
            "Anglers need a permit, which costs next to nothing.",
        ),
    ),
    Subject(
        names=("{stem} & Sons", "{stem} Works", "{stem} Industries", "{stem} {thing} Company"),
        nouns=("company", "firm", "manufacturer"),
        about=("based in {region}", "with branches in three countries", "run by the same family"),
        attributes=(
            Attribute(
                "year",
                (
                    "{S} was founded in {v} by a group of former clerks.",
                    "The business goes back to a workshop that opened its doors in {v}.",
                ),
                (
                    "When was {name} set up?",
                    "In what year did {name} get started?",
                    "year of establishment {name}",
                ),
            ),
            Attribute(
                "product",
                (
                    "{S} makes {v} and little else.",
                    "What leaves the assembly line today is mostly {v}.",
                ),
                (
                    "What does {name} produce?",
                    "Which goods is {name} known for manufacturing?",
                    "main article sold by {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "Since the last reorganization {s} has been led by {v}.",
                    "The board chose {v} as managing director after a long night of voting.",
                ),
                (
                    "Who is the boss of {name}?",
                    "Which person is at the head of {name}?",
                    "ceo of {name}",
                ),
            ),
            Attribute(
                "town",
                (
                    "Head offices are in {v}, in a former grain store.",
                    "{S} moved {his} administration to {v}, where rents were lower.",
                ),
                (
                    "Where are the headquarters of {name}?",
                    "In which city is {name} managed?",
                ),
            ),
            Attribute(
                "count",
                (
                    "{S} has {v} people on {his} payroll.",
                    "At last count {v} men and women worked there.",
                ),
                (
                    "How many employees does {name} have?",
                    "size of the workforce at {name}",
                ),
            ),
            Attribute(
                "money",
                (
                    "Sales reached {v} in the most recent year.",
                    "{S} took in {v} last year, slightly less than hoped.",
                ),
                (
                    "What was the revenue of {name}?",
                    "how much turnover did {name} report",
                ),
            ),
            Attribute(
                "cause",
                (
                    "Production once stopped for eight months because of {v}.",
                    "{S} came close to ruin after {v}, and creditors took over for a time.",
                ),
                (
                    "Why did the plant of {name} come to a standstill?",
                    "What nearly bankrupted {name}?",
                ),
            ),
        ),
        fillers=(
            "{S} publishes a yearly report of some {few} pages.",
            "Its logo has been redrawn four times.",
            "Apprentices are taken on every September.",
            "A plan to sell shares to the public was dropped.",
            "{S} keeps a small museum, open on request.",
        ),
    ),
    Subject(
        names=("the {adjective} {thing}", "the {stem} Star", "the Lady {stem}", "the {stem} Queen"),
        nouns=("ship", "steamer", "vessel"),
        copula="was",
        about=("of the {region} Line", "registered in {region}", "with two funnels"),
        attributes=(
            Attribute(
                "date",
                (
                    "{S} was launched on {v} in front of a large crowd.",
                    "Amid brass music the hull slid into the water on {v}.",
                ),
                (
                    "When did {name} first touch the water?",
                    "On what day was the launch of {name}?",
                ),
            ),
            Attribute(
                "town",
                (
                    "{S} was built at a yard in {v}.",
                    "The keel was laid in {v}, next to a half-finished dredger.",
                ),
                (
                    "Where was {name} constructed?",
                    "Which place was home to the shipyard that made {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "For most of {his} service {s} was commanded by {v}.",
                    "On the bridge stood {v}, a strict master who permitted no cards.",
                ),
                (
                    "Who was the captain of {name}?",
                    "Under whose orders did {name} sail?",
                    "skipper of {name}",
                ),
            ),
            Attribute(
                "cargo",
                (
                    "{S} mostly carried {v}.",
                    "The holds were designed for {v}, which left an unmistakable smell.",
                ),
                (
                    "What goods did {name} transport?",
                    "Which freight was aboard {name} as a rule?",
                ),
            ),
            Attribute(
                "metres",
                (
                    "From bow to stern {s} measured {v}.",
                    "With {v} between stem and rudder, {s} barely fitted through the canal.",
                ),
                ("How long was {name}?", "length of {name}"),
            ),
            Attribute(
                "stem",
                (
                    "{S} went down off Cape {v} in calm seas.",
                    "The wreck lies near Cape {v}, in clear water and within reach of divers.",
                ),
                (
                    "Where did {name} sink?",
                    "At which headland was {name} lost?",
                ),
            ),
            Attribute(
                "tonnes",
                (
                    "{S} displaced {v} when fully loaded.",
                    "At {v}, {s} was heavier than any rival on the route.",
                ),
                ("How heavy was {name}?", "what was the weight of {name}"),
            ),
        ),
        fillers=(
            "The crew numbered {few}, not counting the cooks.",
            "{S} rolled badly in a following sea.",
            "The dining room was panelled in walnut.",
            "A model of {him} can be seen in many seaside bars.",
            "Twice {s} was held in quarantine.",
        ),
    ),
    Subject(
        names=("The {adjective} {thing}", "The {thing} of {stem}", "{adjective} {thing}"),
        nouns=("novel", "book"),
        about=("in four parts", "that is often read in schools", "set in {region}"),
        attributes=(
            Attribute(
                "person",
                (
                    "{S} was written by {v} in less than ten weeks.",
                    "The author, {v}, had published nothing but poems before.",
                    "On the title page stands the name of {v}.",
                ),
                (
                    "Who penned {name}?",
                    "Which writer created {name}?",
                    "who wrote {name}",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} first appeared in {v}, in an edition of a few hundred copies.",
                    "Readers had to wait until {v} before {s} reached the shops.",
                ),
                (
                    "When was {name} published?",
                    "In which year did {name} come out?",
                ),
            ),
            Attribute(
                "job",
                (
                    "The story follows a {v} who inherits a house full of clocks.",
                    "At {his} center stands a {v} with a bad memory and a good heart.",
                ),
                (
                    "What is the profession of the main character in {name}?",
                    "how does the hero of {name} earn a living",
                ),
            ),
            Attribute(
                "town",
                (
                    "The plot unfolds in {v}, over the course of one summer.",
                    "Nearly every chapter takes place in {v}.",
                ),
                (
                    "What is the setting of {name}?",
                    "In which town do the events of {name} happen?",
                ),
            ),
            Attribute(
                "theme",
                (
                    "{S} tells of {v} and of what people will do for silence.",
                    "Everything begins with {v}, told from three points of view.",
                ),
                (
                    "What is {name} about?",
                    "Which incident lies at the heart of the plot of {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "An English version by {v} followed, with many cuts.",
                    "{V} translated {him}, working from a damaged copy.",
                ),
                (
                    "Who turned {name} into English?",
                    "translator of {name}",
                ),
            ),
            Attribute(
                "stem",
                (
                    "{S} received the {v} Prize by a single vote.",
                    "The jury of the {v} Prize chose {him} out of {few} entries.",
                ),
                (
                    "Which award did {name} win?",
                    "What literary honor was given to {name}?",
                ),
            ),
        ),
        fillers=(
            "Critics were divided: some praised the style, others found the ending weak.",
            "{S} has never been out of print since.",
            "Some editions leave out the short preface.",
            "A stage version closed after {few} evenings.",
            "The manuscript is full of corrections in green ink.",
        ),
    ),
    Subject(
        names=("the {stem} Museum", "the Museum of {stem}", "the {stem} Collection"),
        nouns=("museum", "institution"),
        about=("in the capital of {region}", "near the border of {region}", "on a quiet square"),
        attributes=(
            Attribute(
                "collection",
                (
                    "{S} shows {v} from five centuries.",
                    "In its glass cases lie {v}, each with a handwritten label.",
                ),
                (
                    "What can be seen at {name}?",
                    "What kind of objects does {name} exhibit?",
                    "which items are on display in {name}",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} first received the public in {v}.",
                    "The ribbon was cut in {v} by a visibly bored minister.",
                ),
                (
                    "When did {name} open?",
                    "year of inauguration of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "Nearly everything on show was gathered by {v} and left to the city.",
                    "The holdings go back to {v}, who bought at every fair in the country.",
                ),
                (
                    "Who was the original collector behind {name}?",
                    "Whose legacy formed the basis of {name}?",
                ),
            ),
            Attribute(
                "count",
                (
                    "About {v} people walk through {his} rooms in a good year.",
                    "Attendance stands at {v} a year, school groups included.",
                ),
                (
                    "How many visitors does {name} get annually?",
                    "number of guests per year at {name}",
                ),
            ),
            Attribute(
                "purpose",
                (
                    "Before that, the rooms served as {v}.",
                    "{S} occupies what used to be {v}, and the old hooks are still in the walls.",
                ),
                (
                    "What was the building of {name} previously used for?",
                    "former function of the premises of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "At present {v} directs {him}, with a staff of twelve.",
                    "The current director, {v}, trained as a restorer of furniture.",
                ),
                (
                    "Who is in charge of {name}?",
                    "Who runs {name} today?",
                ),
            ),
            Attribute(
                "cause",
                (
                    "{S} had to shut for two years because of {v}.",
                    "After {v}, {s} stayed closed for eleven months.",
                ),
                (
                    "Why was {name} inaccessible for a long time?",
                    "reason for the temporary closure of {name}",
                ),
            ),
        ),
        fillers=(
            "Admission is free on the first Sunday of each month.",
            "The cafe on the ground floor is better known than the rooms above.",
            "A catalogue of {few} pages can be bought at the desk.",
            "{S} lends generously to others.",
            "The lighting has been criticised as too dim.",
        ),
    ),
    Subject(
        names=("the {stem} Festival", "the {adjective} {thing} Festival", "the {stem} Fair"),
        nouns=("festival", "event"),
        about=("held in {region}", "with a long tradition", "that draws guests from afar"),
        attributes=(
            Attribute(
                "town",
                (
                    "{S} takes place in {v}, along both sides of the main street.",
                    "For one week a year {v} hosts {him}, and parking becomes impossible.",
                ),
                (
                    "Where is {name} held?",
                    "Which town is the venue of {name}?",
                ),
            ),
            Attribute(
                "dish",
                (
                    "No one leaves without having tasted the {v}.",
                    "The stalls sell {v} from early morning until the last bell.",
                ),
                (
                    "What do people eat at {name}?",
                    "Which culinary specialty belongs to {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "The idea came from {v}, who wanted to cheer up a gloomy season.",
                    "It was {v} who called {him} into being, against the advice of the mayor.",
                ),
                (
                    "Who initiated {name}?",
                    "Who was the founder of {name}?",
                    "creator of {name}",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} was celebrated for the first time in {v}.",
                    "The tradition dates from {v}, though older customs may lie behind it.",
                ),
                (
                    "When did {name} begin?",
                    "In what year was the earliest edition of {name}?",
                ),
            ),
            Attribute(
                "count",
                (
                    "The last edition sold {v} tickets.",
                    "Police put the crowd at {v}, the organizers at rather more.",
                ),
                (
                    "How many people went to {name}?",
                    "attendance figures {name}",
                ),
            ),
            Attribute(
                "animal",
                (
                    "At dusk a wooden figure of {v} is pulled to the shore and set on fire.",
                    "Its emblem is {v} with a paper crown.",
                ),
                (
                    "Which creature is the symbol of {name}?",
                    "What beast plays a part in the rites of {name}?",
                ),
            ),
            Attribute(
                "weather",
                (
                    "Only once was {s} called off, owing to {v}.",
                    "{V} forced the organizers to cancel {him} a few years ago.",
                ),
                (
                    "Why did {name} not happen one year?",
                    "what prevented {name} from taking place",
                ),
            ),
        ),
        fillers=(
            "Volunteers begin to put up the tents in March.",
            "The opening parade is led by children on stilts.",
            "Some residents complain about the noise.",
            "A poster by {person} is printed every year.",
            "Prices have risen sharply.",
        ),
    ),
    Subject(
        names=("{stem}", "{stem}Kit", "Open{stem}", "{thing}{stem}"),
        nouns=("project", "program", "tool"),
        about=("with a graphical interface", "maintained by volunteers", "for desktop computers"),
        attributes=(
            Attribute(
                "language",
                (
                    "The code base is written in {v}, apart from a few shell scripts.",
                    "After a rewrite from scratch, {s} now consists of some {count} lines of {v}.",
                ),
                (
                    "What programming language is {name} implemented in?",
                    "what is {name} coded in",
                ),
            ),
            Attribute(
                "software",
                (
                    "{S} is used for {v}.",
                    "{S} grew out of a script for {v}, and that is still what most people need.",
                ),
                (
                    "What can one do with {name}?",
                    "What is the purpose of {name}?",
                ),
            ),
            Attribute(
                "license",
                (
                    "{S} is distributed under {v}.",
                    "Anyone may copy {him} under the terms of {v}.",
                ),
                (
                    "How is {name} licensed?",
                    "What are the legal terms for using {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "{V} began {him} as a weekend experiment.",
                    "Its first lines were typed by {v} on a train.",
                ),
                (
                    "Who started {name}?",
                    "original developer of {name}",
                ),
            ),
            Attribute(
                "modern_date",
                (
                    "Version 1.0 appeared on {v} after a long test phase.",
                    "On {v} the maintainers declared {him} stable.",
                ),
                (
                    "When was the first mature release of {name}?",
                    "What is the day on which {name} left beta?",
                ),
            ),
            Attribute(
                "animal",
                (
                    "The mascot is {v} wearing headphones.",
                    "On startup {s} greets users with a drawing of {v}.",
                ),
                (
                    "Which creature is on the logo of {name}?",
                    "What figure does {name} show as its emblem?",
                ),
            ),
            Attribute(
                "disaster",
                (
                    "The public repository was offline for a week because of {v}.",
                    "Development paused for a season after {v} hit the server room.",
                ),
                (
                    "What interrupted work on {name}?",
                    "Why was the source of {name} unavailable for a while?",
                ),
            ),
        ),
        fillers=(
            "New releases come out every few months.",
            "The manual has been translated into {few} languages.",
            "Bug reports are answered, if not always kindly.",
            "{S} needs little memory.",
            "A plug-in system was added later and is rarely used.",
        ),
    ),
    Subject(
        names=("the {stem} Warbler", "the {adjective} Finch", "the {stem} Thrush"),
        nouns=("bird", "species"),
        about=("of the forests of {region}", "found only in {region}", "with a loud call"),
        attributes=(
            Attribute(
                "food",
                (
                    "{S} lives mainly on {v}, which {he} finds by touch.",
                    "In winter {v} make up nearly everything that {s} swallows.",
                ),
                (
                    "What does {name} eat?",
                    "Which food is most important to {name}?",
                    "diet of {name}",
                ),
            ),
            Attribute(
                "plant",
                (
                    "{S} breeds in {v}, always within sight of water.",
                    "The eggs, two or three of them, are laid in {v}.",
                ),
                (
                    "Where does {name} build its nest?",
                    "What nesting place does {name} prefer?",
                ),
            ),
            Attribute(
                "person",
                (
                    "{S} was first described by {v}, from a single skin.",
                    "Science owes {his} Latin name to {v}.",
                ),
                (
                    "Which naturalist discovered {name}?",
                    "Who introduced {name} to science?",
                ),
            ),
            Attribute(
                "length",
                (
                    "An adult measures {v} from bill to tail.",
                    "With {v}, {s} is rather small for {his} family.",
                ),
                ("How big does {name} get?", "body size of {name}"),
            ),
            Attribute(
                "color",
                (
                    "Males can be told by a {v} patch on the throat.",
                    "Its wings are plain above but {v} below, which shows only in flight.",
                ),
                (
                    "What is the striking hue in the plumage of {name}?",
                    "Which tint marks {name}?",
                ),
            ),
            Attribute(
                "count",
                (
                    "Fewer than {v} are thought to remain in the wild.",
                    "A census found {v} pairs, more than anyone had expected.",
                ),
                (
                    "How large is the population of {name}?",
                    "how many individuals of {name} are left",
                ),
            ),
            Attribute(
                "region",
                (
                    "In October {s} leaves for {v} and returns with the first warm days.",
                    "The cold months are spent in {v}, some weeks of flight away.",
                ),
                (
                    "Where does {name} migrate to?",
                    "What are the winter quarters of {name}?",
                ),
            ),
        ),
        fillers=(
            "Its song is a dry rattle that ends in a whistle.",
            "{S} is shy and hard to photograph.",
            "Young ones leave after {few} days.",
            "Cats and rats are the worst enemies.",
            "Farmers regard {him} as a sign of rain.",
        ),
    ),
    Subject(
        names=("the Battle of {stem}", "the Siege of {stem}", "the Battle of {stem} Bridge"),
        nouns=("battle", "engagement"),
        copula="was",
        about=("in the {region} war", "between {region} and its neighbors", "of a long campaign"),
        attributes=(
            Attribute(
                "date",
                (
                    "{S} was fought on {v} and lasted barely five hours.",
                    "The first shots fell at dawn on {v}.",
                ),
                (
                    "When did {name} happen?",
                    "On which day did {name} occur?",
                ),
            ),
            Attribute(
                "person",
                (
                    "The victorious troops were led by {v}, then only {age} years old.",
                    "It was {v} who won the day by attacking from the woods.",
                ),
                (
                    "Which commander triumphed at {name}?",
                    "Who was the winning general in {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "{V} surrendered at nightfall with what was left of two regiments.",
                    "On the losing side, {v} had ignored several warnings.",
                ),
                (
                    "Who was defeated at {name}?",
                    "Which leader had to give up in {name}?",
                ),
            ),
            Attribute(
                "count",
                (
                    "Some {v} soldiers were killed or wounded.",
                    "Losses on both sides came to {v}, by a cautious estimate.",
                ),
                (
                    "How many casualties did {name} cause?",
                    "death toll of {name}",
                ),
            ),
            Attribute(
                "weather",
                (
                    "{V} kept the reserves from arriving in time.",
                    "The outcome was decided by {v}, which silenced the guns.",
                ),
                (
                    "What natural circumstance influenced {name}?",
                    "which conditions turned the course of {name}",
                ),
            ),
            Attribute(
                "town",
                (
                    "The beaten army fell back to {v}, burning its wagons.",
                    "Survivors gathered in {v}, where a field hospital had been set up.",
                ),
                (
                    "Where did the defeated retreat to after {name}?",
                    "Which place took in the remaining troops following {name}?",
                ),
            ),
        ),
        fillers=(
            "A stone cross marks the spot.",
            "{S} has been re-enacted every tenth year.",
            "Paintings of the scene are rarely accurate.",
            "Farmers still find buttons and bullets when they plough.",
            "Its strategic value was small.",
        ),
    ),
    Subject(
        names=("the Treaty of {stem}", "the {stem} Accord", "the Peace of {stem}"),
        nouns=("treaty", "agreement"),
        copula="was",
        about=("between {region} and two smaller states", "that ended a long quarrel"),
        attributes=(
            Attribute(
                "date",
                (
                    "{S} was signed on {v} in a tent by the road.",
                    "Seals were put to the document on {v}, shortly before midnight.",
                ),
                (
                    "When was {name} concluded?",
                    "date on which {name} was agreed",
                ),
            ),
            Attribute(
                "issue",
                (
                    "{S} settled the question of {v} for a generation.",
                    "Most of the text deals with {v}, which had poisoned relations for years.",
                ),
                (
                    "What dispute did {name} resolve?",
                    "Which topic was regulated by {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "The talks were chaired by {v}, a retired judge.",
                    "As go-between both parties accepted {v}.",
                ),
                (
                    "Who mediated {name}?",
                    "Which neutral negotiator brought about {name}?",
                ),
            ),
            Attribute(
                "town",
                (
                    "The delegates met in {v}, halfway between the capitals.",
                    "For reasons of safety the conference was moved to {v}.",
                ),
                (
                    "Where were the negotiations for {name} conducted?",
                    "Which location hosted the talks on {name}?",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} ceased to be in force in {v}.",
                    "It was quietly dropped in {v}, when nobody asked for a renewal.",
                ),
                (
                    "When did {name} expire?",
                    "In which year did {name} lose its validity?",
                ),
            ),
            Attribute(
                "money",
                (
                    "Under its third article {v} had to be paid in silver.",
                    "The weaker side was charged {v}, due within six years.",
                ),
                (
                    "How much compensation did {name} impose?",
                    "sum of the reparations in {name}",
                ),
            ),
        ),
        fillers=(
            "{S} consists of {few} articles and a secret annex.",
            "Two copies exist, one of them stained with wine.",
            "Historians see in {him} a model for later ones.",
            "{S} was read aloud in all churches.",
            "Few of those who signed had studied the maps.",
        ),
    ),
    Subject(
        names=("{stem} House", "{stem} Hall", "the {stem} Tower", "the Old {thing} Hall"),
        nouns=("building", "landmark"),
        about=("in the center of {town}", "on a hill in {region}", "under state protection"),
        attributes=(
            Attribute(
                "person",
                (
                    "{S} was designed by {v}, who died before the roof was on.",
                    "The plans are by {v}, then an unknown draughtsman.",
                ),
                (
                    "Who was the architect of {name}?",
                    "Who drew up {name}?",
                ),
            ),
            Attribute(
                "year",
                (
                    "{S} was completed in {v}, three years late.",
                    "Work came to an end in {v} with a banquet for the masons.",
                ),
                (
                    "When was {name} finished?",
                    "In which year was the construction of {name} over?",
                ),
            ),
            Attribute(
                "material",
                (
                    "Its outer walls are of {v}.",
                    "{S} was put up in {v}, which keeps the rooms cool.",
                ),
                (
                    "What is {name} made of?",
                    "Which substance was used for the facade of {name}?",
                ),
            ),
            Attribute(
                "metres",
                (
                    "To the tip of the weather vane {s} stands {v}.",
                    "{S} reaches {v} and can be seen from the sea.",
                ),
                ("How tall is {name}?", "height of {name}"),
            ),
            Attribute(
                "purpose",
                (
                    "{S} began life as {v}.",
                    "The ground floor was planned as {v}, with living quarters above.",
                ),
                (
                    "What was {name} originally intended for?",
                    "first use of {name}",
                ),
            ),
            Attribute(
                "style",
                (
                    "Guidebooks praise {him} as {v} work of the finest sort.",
                    "The {v} staircase alone is worth a detour.",
                ),
                (
                    "To which architectural movement does {name} belong?",
                    "What artistic manner is seen in {name}?",
                ),
            ),
            Attribute(
                "disaster",
                (
                    "The east wing was lost to {v}.",
                    "{V} left {him} without a roof for a decade.",
                ),
                (
                    "What damaged {name}?",
                    "Why did parts of {name} have to be given up?",
                ),
            ),
        ),
        fillers=(
            "{S} has {few} windows, no two of them alike.",
            "Weddings are held in the garden.",
            "The cellar is closed to visitors.",
            "An elevator was put in much later.",
            "{S} appears on an old postage stamp.",
        ),
    ),
    Subject(
        names=("{adjective} {thing}", "A {thing} for {stem}", "{stem} Nights"),
        nouns=("film", "picture"),
        about=("from {region}", "of just under two hours", "shot in black and white"),
        attributes=(
            Attribute(
                "person",
                (
                    "{S} was directed by {v}, who also plays a small part.",
                    "Behind the camera stood {v}, until then a maker of commercials.",
                ),
                (
                    "Who was the filmmaker behind {name}?",
                    "Who is responsible as the director of {name}?",
                ),
            ),
            Attribute(
                "person",
                (
                    "The leading role went to {v}.",
                    "{V} stars in {him}, almost without a line of dialogue.",
                ),
                (
                    "Who plays the main character in {name}?",
                    "top-billed performer of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "{V} composed the score in nine days.",
                    "The music is by {v}, played by a village band.",
                ),
                (
                    "Whose soundtrack is heard in {name}?",
                    "Who provided the tunes for {name}?",
                ),
            ),
            Attribute(
                "modern_year",
                (
                    "{S} was released in {v}, in a dozen theaters.",
                    "Audiences first saw {him} in {v}.",
                ),
                (
                    "When did {name} come to the cinemas?",
                    "premiere year of {name}",
                ),
            ),
            Attribute(
                "money",
                (
                    "Making {him} cost {v}, most of which went into a single storm.",
                    "With a budget of {v}, {s} was a risk for the studio.",
                ),
                (
                    "How much was spent on {name}?",
                    "what were the production expenses of {name}",
                ),
            ),
            Attribute(
                "theme",
                (
                    "{S} revolves around {v}.",
                    "The script is based on {v} that a reporter had heard of in a bar.",
                ),
                (
                    "What is the story of {name}?",
                    "Which event is {name} about?",
                ),
            ),
            Attribute(
                "town",
                (
                    "All outdoor scenes were shot in {v}.",
                    "The crew spent a wet spring in {v}, sleeping in a school.",
                ),
                (
                    "Where was {name} filmed?",
                    "Which place served as the location for {name}?",
                ),
            ),
        ),
        fillers=(
            "A scratched print was found in an attic.",
            "{S} runs for {few} minutes longer in some countries.",
            "Reviewers were polite rather than enthusiastic.",
            "The final shot has often been imitated.",
            "{S} was never shown on television.",
        ),
    ),
    Subject(
        names=("{stem} United", "{stem} Rovers", "FC {stem}", "Sporting {stem}"),
        nouns=("football club", "club", "team"),
        about=("from {region}", "with a loyal following", "in the second division"),
        attributes=(
            Attribute(
                "modern_year",
                (
                    "{S} came into being in {v} in the back room of a tavern.",
                    "Eleven railway workers formed {him} in {v}.",
                ),
                (
                    "When was {name} founded?",
                    "year of establishment of {name}",
                ),
            ),
            Attribute(
                "stem",
                (
                    "Home games are played at {v} Park, where the wind blows from the docks.",
                    "{S} shares {v} Park with a rugby side.",
                ),
                (
                    "What is the stadium of {name} called?",
                    "On which ground does {name} host opponents?",
                ),
            ),
            Attribute(
                "color",
                (
                    "The players wear {v} shirts with a thin white collar.",
                    "{S} has appeared in {v} ever since a dyer offered free cloth.",
                ),
                (
                    "What is the kit of {name} like?",
                    "What are the colors of {name}?",
                ),
            ),
            Attribute(
                "nickname",
                (
                    "Supporters call themselves and the side {v}.",
                    "To the local press they are simply {v}.",
                ),
                (
                    "By what informal name is {name} known?",
                    "nickname of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "{V} trains the first eleven, on a contract that ends in June.",
                    "Since the winter break {v} has been on the bench and shouted little.",
                ),
                (
                    "Who coaches {name}?",
                    "current manager of {name}",
                ),
            ),
            Attribute(
                "person",
                (
                    "No one has scored more often than {v}, with {few} goals in all.",
                    "The record for goals is held by {v}, a left-footed postman.",
                ),
                (
                    "Who is the most successful striker in the history of {name}?",
                    "top scorer of {name}",
                ),
            ),
            Attribute(
                "count",
                (
                    "The biggest crowd, {v}, came to a cup tie that ended without a goal.",
                    "Once {v} spectators squeezed through the gates.",
                ),
                (
                    "What is the record attendance of {name}?",
                    "how many fans came to the best-attended match of {name}",
                ),
            ),
        ),
        fillers=(
            "{S} has been relegated four times.",
            "A derby against the neighbors ends in shouting more often than not.",
            "Youth players train on Tuesdays.",
            "{S} sold {few} season tickets in {his} worst year.",
            "The anthem was borrowed from a brass band.",
        ),
    ),
    Subject(
        names=("{stem} College", "{stem} University", "the {stem} Institute"),
        nouns=("college", "school"),
        about=("in {region}", "of higher education", "with two campuses"),
        attributes=(
            Attribute(
                "subject",
                (
                    "{S} is best known for teaching {v}.",
                    "Students come from abroad for the courses in {v}.",
                ),
                (
                    "In which field does {name} have a special reputation?",
                    "what discipline is {name} famous for",
                ),
            ),
            Attribute(
                "person",
                (
                    "A bequest by {v} made {him} possible.",
                    "{S} owes {his} existence to {v}, a childless brewer.",
                ),
                (
                    "Who donated the money for {name}?",
                    "Which benefactor established {name}?",
                ),
            ),
            Attribute(
                "count",
                (
                    "{S} enrolled {v} students this autumn.",
                    "With {v} young people in {his} lecture halls, space is short.",
                ),
                (
                    "How many learners attend {name}?",
                    "size of the student body at {name}",
                ),
            ),
            Attribute(
                "year",
                (
                    "Women have been admitted since {v}.",
                    "It took until {v} before {s} opened {his} doors to women.",
                ),
                (
                    "When could female students first study at {name}?",
                    "in what year did {name} become coeducational",
                ),
            ),
            Attribute(
                "person",
                (
                    "The rector is {v}, a specialist in bridges.",
                    "{V} heads {him} at present and teaches one seminar a year.",
                ),
                (
                    "Who is the president of {name}?",
                    "Who leads {name}?",
                ),
            ),
            Attribute(
                "animal",
                (
                    "On the coat of arms one sees {v} with an open book.",
                    "Its seal shows {v}, the joke of a forgotten engraver.",
                ),
                (
                    "Which creature is on the crest of {name}?",
                    "heraldic beast of {name}",
                ),
            ),
        ),
        fillers=(
            "{S} has its own printing press.",
            "Rooms on the north side are cold.",
            "The library holds {count} volumes.",
            "{S} takes part in an exchange with three other countries.",
            "An old elm stood in the court until recently.",
        ),
    ),
)
