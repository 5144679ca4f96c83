"""Months of talk between a few people, or between a user and an assistant."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark
from specprefill_integrations.calibration._probe_texts._vocabulary import FIRST_NAMES, MONTHS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Topic:
    sort: str
    """The sort of the value."""

    told: tuple[str, ...]
    """What the one who is asked about says."""

    reply: tuple[str, ...]
    """What another one says to it."""

    near: tuple[str, ...]
    """Turns that speak of the same with another value or another person."""

    asked: tuple[str, ...]
    """Questions; `{who}`, `{has}`, `{does}`, `{is}`, `{whose}` fit a name and the first person."""


_TOPICS = (
    _Topic(
        sort="instrument",
        told=(
            "Guess what, I finally started lessons! It's the {v}. My fingers hurt already.",
            "I bought a second-hand {v} last week and my neighbors hate me now.",
        ),
        reply=("Ha, that's brave! How often do you practise?", "Nice, play something for me soon."),
        near=(
            "My brother plays the {other}, he never stops.",
            "I gave up the {other} when I was ten. Too much practising.",
            "There was a great {other} solo at the concert on Friday.",
        ),
        asked=(
            "What instrument did {who} take up?",
            "Which musical hobby did {who} begin?",
        ),
    ),
    _Topic(
        sort="town",
        told=(
            "It's official, the boxes are packed. From next month my address is in {v}!",
            "We signed the lease yesterday, so {v} it is. The kitchen alone is worth it.",
        ),
        reply=(
            "Wow, congratulations! Will you keep the old couch?",
            "I will miss you around here.",
        ),
        near=(
            "My cousin left {other} after a year, the rent was crazy.",
            "I spent the weekend in {other} and slept about three hours.",
            "My parents keep asking me to come back to {other}, but no way.",
        ),
        asked=(
            "Where did {who} move to?",
            "Which place {is} {who} relocating to?",
        ),
    ),
    _Topic(
        sort="pet",
        told=(
            "We went to the shelter just to look, and came home with {v}. Of course we did.",
            "Meet the newest member of the family: {v}! It already sleeps on my keyboard.",
        ),
        reply=("Oh no, so cute! Send pictures!", "Does it get along with the kids?"),
        near=(
            "The neighbors have {other} and it wakes me at five every day.",
            "As a kid I always wanted {other}, but dad was allergic.",
        ),
        asked=(
            "What animal did {who} adopt?",
            "What kind of pet {does} {who} have?",
        ),
    ),
    _Topic(
        sort="allergy",
        told=(
            "The doctor called with my results. No more {v} for me, ever. It explains the rash.",
            "Turns out that it was the {v} all along, my whole face was swollen on Sunday.",
        ),
        reply=("Ouch. Good that you know it now.", "That must be annoying in restaurants."),
        near=(
            "I made a salad with {other} yesterday, you would love it.",
            "My niece can't stand {other}, she just throws it on the floor.",
        ),
        asked=(
            "What {is} {who} allergic to?",
            "Which food {does} {who} have to avoid for medical reasons?",
        ),
    ),
    _Topic(
        sort="job",
        told=(
            "They called me back! I start as a {v} on the first. I still can't believe it.",
            "So I handed in my notice. From May on I will work as a {v}, believe it or not.",
        ),
        reply=("Amazing news! We need to celebrate.", "You will be great at that."),
        near=(
            "My uncle was a {other} all his life and never took a day off.",
            "I once applied to be a {other}. They never wrote back.",
        ),
        asked=(
            "What new occupation {does} {who} have?",
            "Which position was {who_object} hired for?",
        ),
    ),
    _Topic(
        sort="sport",
        told=(
            "I did it, I signed up for {v}! First session was yesterday and I can barely walk.",
            "You know what helps me to sleep? {V}. Three evenings a week since January.",
        ),
        reply=("Good for you! I should move more, too.", "Careful with your knee, please."),
        near=(
            "I watched {other} on TV all afternoon, it was raining anyway.",
            "My sister wants to drag me to {other} again. I need an excuse.",
        ),
        asked=(
            "What sport {does} {who} do now?",
            "What form of exercise did {who} get into?",
        ),
    ),
    _Topic(
        sort="dish",
        told=(
            "Dinner was a success! I made {v} for everybody, there was nothing left.",
            "I finally tried grandma's recipe for {v}. Took me four hours, but what a taste.",
        ),
        reply=("Save me a plate next time!", "I am hungry just reading this."),
        near=(
            "The new place on the corner has {other}. Not bad, a bit greasy.",
            "I burned the {other} again. The smoke alarm went off twice.",
        ),
        asked=(
            "What did {who} cook?",
            "Which meal did {who} prepare for the guests?",
        ),
    ),
    _Topic(
        sort="color",
        told=(
            "The bedroom is done. Everything is {v} now, even the door. It took two coats.",
            "After ten sample pots I went for {v} in the bedroom. Looks better than it sounds!",
        ),
        reply=("Bold choice. Show me!", "I'd like to see it by daylight."),
        near=(
            "I found a {other} sofa on the street, in perfect condition.",
            "Mum painted the fence {other}. It is very... visible.",
        ),
        asked=(
            "In what shade did {who} paint the bedroom?",
            "What do the walls of {whose} bedroom look like after the renovation?",
        ),
    ),
    _Topic(
        sort="subject",
        told=(
            "The letter came today: I got the place! Two years of {v}, evening classes.",
            "Don't laugh, but at forty I am a student again. {V}, at the open university.",
        ),
        reply=("That's wonderful, you always wanted to go back.", "Respect! I could not do it."),
        near=(
            "My nephew quit {other} after a month.",
            "I read an article about {other} on the train and understood nothing.",
        ),
        asked=(
            "What {is} {who} studying?",
            "Which degree course did {who} enroll in?",
        ),
    ),
    _Topic(
        sort="present",
        told=(
            "For the birthday my aunt gave me {v}. I have no idea where to put it.",
            "You won't believe what was in the parcel from my aunt: {v}!",
        ),
        reply=("She has a sense of humor.", "Ha! Well, it is the thought that counts."),
        near=(
            "I got my dad {other}, and he already broke it.",
            "At the flea market somebody was selling {other} for two coins.",
        ),
        asked=(
            "What gift did {who} get from an aunt?",
            "What did the aunt of {who_object} send?",
        ),
    ),
    _Topic(
        sort="person",
        told=(
            "I met someone from the old school at the station: {v}! We talked for an hour.",
            "Remember our maths class? {V} recognised me in the supermarket yesterday.",
        ),
        reply=("No way! How are things there?", "Small world. Say hello from me."),
        near=(
            "My dentist is called {other} now, the old one retired.",
            "I am reading the new thriller by {other}. Not great so far.",
        ),
        asked=(
            "Which former classmate did {who} run into?",
            "Who from school days did {who} bump into?",
        ),
    ),
    _Topic(
        sort="few",
        told=(
            "Race day! I came in at position {v}, with a cramp and a big smile.",
            "My result is online. Place {v}! Two years ago I did not even finish.",
        ),
        reply=("Well done! Now rest.", "You should be proud of that."),
        near=(
            "There were {other} people in line at the bakery this morning.",
            "Grandpa turns {other} on Sunday and wants to dance.",
        ),
        asked=(
            "What rank did {who} reach in the competition?",
            "How did {who} place in the run?",
        ),
    ),
    _Topic(
        sort="disaster",
        told=(
            "We had to call off the holiday. {V}, of all things. The hotel paid us back, at least.",
            "So, no beach for us this year, the resort is shut after {v}.",
        ),
        reply=("I am so sorry, you needed that break.", "What bad luck. Come to us instead!"),
        near=(
            "The office was closed on Monday because of {other}. A free day for me.",
            "They talked about {other} on the radio, somewhere up north.",
        ),
        asked=(
            "Why did the vacation of {who_object} fall through?",
            "What made {who_object} cancel the trip?",
        ),
    ),
    _Topic(
        sort="collection",
        told=(
            "I must stop buying {v}. There are over sixty on my shelves now.",
            "The cellar is full, I need a bigger one for all my {v}.",
        ),
        reply=("You could open a shop.", "Everyone needs a weakness."),
        near=(
            "My grandmother left us a box with {other}. No idea what to do with it.",
            "I saw a documentary about {other} and fell asleep.",
        ),
        asked=(
            "What {does} {who} collect?",
            "Which objects {has} {who} been gathering at home?",
        ),
    ),
    _Topic(
        sort="language_spoken",
        told=(
            "Day thirty of {v}! I can order coffee and apologise. That's all one needs.",
            "I have a tutor for {v} now, twice a week online. The grammar is a nightmare.",
        ),
        reply=("Say something!", "Is it for work or for fun?"),
        near=(
            "The film was in {other} with tiny subtitles, my eyes hurt.",
            "A man on the bus spoke {other} to me the whole way.",
        ),
        asked=(
            "What {is} {who} learning to speak?",
            "Which foreign tongue {has} {who} been practising?",
        ),
    ),
)
_POOLS = {
    "pet": (
        *("a tabby kitten", "a three-legged greyhound", "two guinea pigs", "a gecko", "a parrot"),
        *("a beagle puppy", "an old tortoise", "a ginger tomcat", "a ferret", "a dwarf rabbit"),
        *("a hamster", "a cockatiel", "a poodle mix", "a corn snake"),
    ),
    "allergy": (
        *("celery", "walnuts", "shrimp", "peaches", "mustard", "buckwheat", "kiwi", "sesame"),
        *("cashews", "strawberries", "soy", "lupin", "mango", "oysters", "garlic"),
    ),
    "sport": (
        *("fencing", "rock climbing", "water polo", "archery", "judo", "rowing", "badminton"),
        *("trampolining", "curling", "long-distance swimming", "table tennis", "boxing"),
        *("roller derby", "tai chi", "handball"),
    ),
    "present": (
        *("a fondue set", "a stuffed pheasant", "a cuckoo clock", "a bread machine", "a telescope"),
        *("a pair of snowshoes", "a crystal vase", "a karaoke box", "a rocking chair", "a globe"),
        *("a metal detector", "a tea trolley", "a ukulele stand", "a foot bath", "a bonsai"),
    ),
    "language_spoken": (
        *("Portuguese", "Finnish", "Korean", "Swahili", "Welsh", "Hungarian", "Turkish", "Greek"),
        *("Icelandic", "Hindi", "Basque", "Polish", "Arabic", "Vietnamese", "Danish", "Georgian"),
    ),
}
_SMALL_TALK = (
    (
        "Hey, how was your week?",
        "Busy, as always. The trains were late again and I missed half of the meeting.",
    ),
    ("Long time no see! All well?", "Can't complain. A bit tired, but that's the season."),
    (
        "Did you see the match yesterday? I only caught the last ten minutes.",
        "No, I fell asleep on the sofa at nine.",
        "Haha, classic.",
    ),
    ("It has been raining for a week, the basement smells like a pond.", "Ugh. Same here."),
    (
        "I'm reading that book you lent me. I'm on page {few} and still waiting for the plot.",
        "Give it time, it gets better.",
    ),
    (
        "My phone died twice today. I should replace it, but the new ones cost a fortune.",
        "Have you tried a new battery? That did it for mine.",
        "Good idea, I'll ask at the shop.",
    ),
    ("By the way, the landlord finally fixed the heating.", "About time! It was freezing."),
    (
        "Do you still have my umbrella? The big one with the wooden handle.",
        "I think so, it must be in the car.",
    ),
    (
        "Work is strange at the moment, three people left and nobody tells us why.",
        "Hang in there. Coffee on Thursday?",
        "Thursday is good, after five.",
        "Perfect, the usual place.",
    ),
    (
        "The kids have a cold again, so do not expect too much from me today.",
        "Get well soon, all of you!",
    ),
    (
        "I tried to fix the bike on my own. It now has more parts on the floor than on the frame.",
        "You are hopeless. I will come by on Saturday with tools.",
        "You're the best!",
    ),
    ("My sister called, she talked for {few} minutes about curtains.", "Sounds like her."),
    (
        "I walked home along the canal yesterday. So many stars, you forget that they are there.",
        "That sounds lovely. I was stuck in front of a spreadsheet until eight.",
        "We should do this more often.",
        "Agreed.",
    ),
    (
        "What time does the market open on Sundays?",
        "Eight, I think, but the good bread is gone by nine.",
    ),
    ("OK, I have to run, talk to you soon!", "Take care!"),
    (
        "Have you heard from the others lately?",
        "Only a postcard. The usual: sun, mosquitoes, and somebody lost a suitcase.",
    ),
    ("I can't find my keys. Again.", "Look in the fridge. I'm serious, remember last time?"),
    (
        "The dentist says that I grind my teeth at night.",
        "Stress?",
        "Probably. Or the spreadsheet dreams.",
    ),
    (
        "Shall we take the early train or the late one?",
        "The late one, please. I am not a person before ten.",
    ),
    ("Happy belated birthday, I am so sorry that I forgot!", "Don't worry, so did I, almost."),
    ("Is the bakery on your street still closed?", "They open on Monday, I saw the sign."),
    (
        "I voted to skip the office party this year.",
        "Very wise. Last time they made us sing.",
        "Don't remind me.",
    ),
)
_REQUESTS = (
    (
        "Can you shorten this message to my landlord? It must stay polite.",
        "How about: the heating has been out since Monday, could you send somebody soon?",
    ),
    (
        "What is a good way to remove coffee stains from a wooden table?",
        "Start with a soft cloth and warm water. Test anything stronger on a hidden spot first.",
    ),
    (
        "Give me three ideas for a rainy Sunday with small children.",
        "You could build a cave out of blankets, bake something simple, or draw a treasure map.",
    ),
    (
        "How do I explain compound interest to a ten-year-old?",
        "Tell of a coin that has a baby coin every year, and whose babies have babies.",
    ),
    (
        "Is it better to stretch before or after running?",
        "Gentle movement before, longer stretches afterwards. Pain is a sign to stop.",
    ),
    (
        "I can't sleep when it is hot. Any advice?",
        "Air the room early, keep the curtains shut by day, and try a lukewarm shower.",
    ),
    (
        "Please write a friendly reminder that the club fee is due.",
        "Dear members, a short note: the fee for this year is still open for some of us.",
    ),
    (
        "What should I pack for {few} hours on a train?",
        "Water, a snack that does not crumble, headphones, a warm layer and a book.",
    ),
    (
        "Can you suggest a name for a quiz team?",
        "The Question Marks, Known Unknowns, or simply Table Nine.",
    ),
    (
        "My spreadsheet shows dates as numbers. How do I fix that?",
        "Select the column, open the cell format and choose a date.",
    ),
    (
        "How long can soup stay in the refrigerator?",
        "Three to four days in a closed container. When in doubt, throw it out.",
    ),
    (
        "I have an interview tomorrow and I am nervous.",
        "That is normal. Prepare two short stories about things you did well, and one question.",
        "Good. I will also iron a shirt.",
        "An excellent plan. Good luck!",
    ),
    (
        "Which plants survive in a dark corridor?",
        "Cast-iron plants and snake plants forgive almost everything except too much water.",
    ),
    (
        "Can you check whether my sentence sounds rude?",
        "It is clear, but a little short. A thank you at the end would soften it.",
    ),
    (
        "What's the difference between weather and climate?",
        "Weather is what you get today; climate is what you may expect over decades.",
    ),
    (
        "How do I politely leave a group chat?",
        "Say thanks, give a harmless reason, and go. Most people will not even notice.",
    ),
    (
        "Why do onions make me cry?",
        "Cutting them sets free a gas that irritates the eyes. A sharp, cold knife helps.",
    ),
    (
        "Can you make me a timetable for learning ten poems?",
        "One poem every three days, read aloud twice in the morning and once before bed.",
    ),
    (
        "What's a good gift for a colleague I hardly know?",
        "Something that gets used up: good tea, fine chocolate or a plant that is hard to kill.",
    ),
    (
        "Translate 'the meeting is postponed' into plainer words.",
        "We will meet later than planned.",
    ),
)
_THANKS = (
    "Thanks for telling me! Is there anything that I can help you with?",
    "I see. Would you like me to put together a simple plan around that?",
    "That is good to know. I will keep it in mind for my next suggestions.",
    "How interesting! What would be the most useful next step for you?",
    "Understood. Do you want a list of tips, or would you rather just talk about it?",
    "I can imagine. Let me know if you need a second opinion on anything.",
)
_HEADERS = (
    "[{hour}:{minute} {half} on {day} {month}, {year}]",
    "--- {month} {day}, {year}, {hour}:{minute} {half} ---",
    "Session on {day} {month} {year}, {hour}:{minute} {half}",
)
_THIRD = {"has": "has", "does": "does", "is": "is"}
_FIRST = {
    "who": "I",
    "who_object": "me",
    "whose": "my",
    "has": "have",
    "does": "do",
    "is": "am",
}


def chat(draw: Draw, chars: int) -> MarkedCase:
    """Make a case of dated dialogue.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the dialogue has.

    Returns:
        The case; its texts are the sessions, or all of them in one.
    """
    assistant = draw.chance(35)
    speakers = ["user", "assistant"] if assistant else _people(draw)
    asked, topic = speakers[0], draw.choice(_TOPICS)
    value = _value(draw, topic)
    draw.reserve(value)
    turns = [_told(draw, topic, speakers, value)]
    turns += [_near(draw, topic, speakers) for _ in range(draw.number(2, 3))]
    others = [other for other in draw.shuffled(_TOPICS) if other is not topic]
    while sum(len(line) for turn in turns for line in turn) < 0.88 * chars:
        turns.append(_other_turns(draw, others, speakers))
    sessions = _sessions(draw, draw.shuffled(turns))
    third = {"who": asked, "who_object": asked, "whose": f"{asked}'s", **_THIRD}
    query = draw.choice(topic.asked).format_map(_FIRST if assistant else third)
    texts = sessions if draw.chance(50) else ["\n\n".join(sessions)]
    return MarkedCase(query=query, answer=value, texts=tuple(texts))


def _people(draw: Draw) -> list[str]:
    names = [draw.deal(pronoun, FIRST_NAMES[pronoun]) for pronoun in ("she", "he", "she")]
    return draw.shuffled(names)[: draw.number(2, 3)]


def _value(draw: Draw, topic: _Topic) -> str:
    return draw.deal(topic.sort, _POOLS[topic.sort]) if topic.sort in _POOLS else draw[topic.sort]


def _told(draw: Draw, topic: _Topic, speakers: list[str], value: str) -> list[str]:
    text = _claim(draw.choice(topic.told), value)
    return [mark(f"{speakers[0]}: {text}"), _answer(draw, speakers, draw.choice(topic.reply))]


def _answer(draw: Draw, speakers: list[str], text: str) -> str:
    if speakers[1] == "assistant":
        text = draw.deal("thanks", _THANKS)
    return f"{draw.choice(speakers[1:])}: {text}"


def _claim(wording: str, value: str) -> str:
    return wording.format(v=value, V=value[:1].upper() + value[1:])


def _near(draw: Draw, topic: _Topic, speakers: list[str]) -> list[str]:
    text = draw.deal(topic.near[0], topic.near).format(other=_value(draw, topic))
    speaker = draw.choice(speakers)
    if speakers[1] == "assistant":
        speaker = "user"
    elif draw.chance(50):
        speaker = draw.choice(speakers[1:])
        text = _claim(draw.choice(topic.told), _value(draw, topic))
    line = f"{speaker}: {text}"
    return [line, _answer(draw, speakers, "")] if speaker == "user" else [line]


def _other_turns(draw: Draw, others: list[_Topic], speakers: list[str]) -> list[str]:
    if draw.chance(30):
        in_turn = speakers if speakers[1] == "assistant" else draw.shuffled(speakers)
        return _near(draw, draw.choice(others), in_turn)
    return _small_talk(draw, speakers)


def _small_talk(draw: Draw, speakers: list[str]) -> list[str]:
    if speakers[1] == "assistant":
        lines, in_turn = draw.deal("requests", _REQUESTS), speakers
    else:
        lines, in_turn = draw.deal("talk", _SMALL_TALK), draw.shuffled(speakers)
    return [f"{in_turn[turn % 2]}: {text.format_map(draw)}" for turn, text in enumerate(lines)]


def _sessions(draw: Draw, turns: list[list[str]]) -> list[str]:
    header, year, month = draw.choice(_HEADERS), draw.number(2019, 2025), draw.number(0, 8)
    sessions = []
    while turns:
        size = draw.number(2, 4)
        lines = [line for turn in turns[:size] for line in turn]
        sessions.append("\n".join([_header(draw, header, year, month), *lines]))
        turns = turns[size:]
        year, month = divmod(12 * year + month + draw.number(0, 1) + 1, 12)
    return sessions


def _header(draw: Draw, header: str, year: int, month: int) -> str:
    return header.format(
        hour=draw.number(7, 11),
        minute=f"{draw.number(0, 59):02}",
        half=draw.choice(("am", "pm")),
        day=draw.number(1, 28),
        month=MONTHS[month],
        year=year,
    )
