"""Words that the probe's texts are made of. Data only, all of it written for this purpose."""

from __future__ import annotations

ONSETS = (
    *("B", "Br", "C", "Cor", "D", "Dr", "El", "F", "Fen", "G", "Gr", "H", "Hal", "Is", "J", "K"),
    *("Kel", "L", "Lor", "M", "Mar", "N", "Nor", "Or", "P", "Pel", "Qu", "R", "Ros", "S", "Sel"),
    *("St", "T", "Tor", "Tr", "Ul", "V", "Ver", "W", "Wen", "Y", "Z"),
)
MIDDLES = (
    *("a", "e", "i", "o", "u", "ae", "ai", "ande", "ano", "are", "asti", "ea", "ebo", "eli", "emo"),
    *("enda", "eri", "esta", "ia", "ido", "ila", "imo", "ino", "obe", "ola", "omi", "onda", "ora"),
    *("osta", "udi", "ula", "uri"),
)
ENDINGS = (
    *("b", "ck", "dan", "del", "den", "fax", "gan", "ker", "l", "lan", "lin", "lm", "ly", "mar"),
    *("mond", "n", "nard", "nek", "nic", "r", "rath", "rin", "rov", "sk", "sson", "t", "tha"),
    *("thorn", "tt", "va", "van", "vik", "wen", "x", "zer"),
)
FIRST_NAMES = {
    "she": (
        *("Ada", "Amara", "Anneke", "Beatriz", "Carmen", "Chiara", "Dalia", "Edith", "Elif"),
        *("Farah", "Greta", "Hanna", "Ingrid", "Irene", "Jolanta", "Kamala", "Katya", "Leila"),
        *("Lucia", "Mabel", "Mei", "Nadia", "Noor", "Odile", "Olga", "Paloma", "Priya", "Renata"),
        *("Rosalind", "Sabine", "Saoirse", "Sofia", "Tamsin", "Thandi", "Ursula", "Vera", "Wanda"),
        *("Yasmin", "Yuki", "Zofia"),
    ),
    "he": (
        *("Abel", "Anton", "Arjun", "Bruno", "Casimir", "Cedric", "Daniel", "Dmitri", "Edgar"),
        *("Emeka", "Felix", "Gideon", "Gustav", "Hamid", "Henrik", "Hugo", "Ismail", "Ivor"),
        *("Jonas", "Kofi", "Laszlo", "Leander", "Luis", "Magnus", "Marek", "Mateo", "Nikhil"),
        *("Oskar", "Otto", "Pascal", "Piotr", "Quentin", "Rafael", "Ruben", "Samir", "Tariq"),
        *("Theo", "Tomas", "Viktor", "Wendell"),
    ),
}
ADJECTIVES = (
    *("Amber", "Ashen", "Bitter", "Blue", "Bright", "Broken", "Burning", "Copper", "Crooked"),
    *("Distant", "Early", "Empty", "Fallow", "Final", "Gilded", "Glass", "Golden", "Green"),
    *("Hidden", "Hollow", "Iron", "Ivory", "Last", "Lonely", "Long", "Lost", "Marble", "Narrow"),
    *("Northern", "Open", "Pale", "Patient", "Quiet", "Red", "Restless", "Salt", "Scarlet"),
    *("Second", "Silent", "Silver", "Sleeping", "Southern", "Stone", "Summer", "Velvet", "White"),
    *("Wild", "Winter", "Yellow"),
)
THINGS = (
    *("Acorn", "Anchor", "Archive", "Arrow", "Beacon", "Bell", "Bridge", "Candle", "Canyon"),
    *("Cartographer", "Compass", "Comet", "Crossing", "Crown", "Current", "Door", "Ember"),
    *("Ferry", "Garden", "Gate", "Harbor", "Heron", "Horizon", "Island", "Junction", "Kestrel"),
    *(
        "Lantern",
        "Ledger",
        "Lighthouse",
        "Meridian",
        "Mirror",
        "Monsoon",
        "Needle",
        "Orchard",
    ),
    *("Passage", "Pendulum", "Prairie", "Quarry", "Raven", "River", "Sail", "Signal", "Sparrow"),
    *("Station", "Thread", "Threshold", "Tide", "Tower", "Valley", "Window"),
)
TOWN_ENDINGS = ("bury", "ford", "haven", "holm", "mere", "minster", "port", "stead", "wick", "ton")
REGION_ENDINGS = ("ia", "land", "mark", "shire", "onia", "esse")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
POOLS = {
    "material": (
        *("granite", "limestone", "red brick", "slate", "larch wood", "basalt", "poured concrete"),
        *(
            "marble",
            "weathered steel",
            "sandstone",
            "aluminium panels",
            "rammed earth",
            "oak beams",
        ),
        *("glazed tiles", "cast iron", "flint", "travertine", "birch plywood", "volcanic tuff"),
        *("recycled timber",),
    ),
    "instrument": (
        *("cello", "oboe", "clarinet", "banjo", "harp", "accordion", "trombone", "mandolin"),
        *("bassoon", "ukulele", "violin", "flute", "saxophone", "tuba", "dulcimer", "viola"),
        *("marimba", "sitar", "trumpet", "double bass", "French horn", "harmonica"),
    ),
    "device": (
        *("a seed drill", "a tide clock", "a folding theodolite", "a steam-driven loom"),
        *("a self-trimming lamp", "a pocket barometer", "a typesetting machine", "a hand pump"),
        *("a letter-sorting press", "a cork-cutting lathe", "a rain gauge", "a diving bell"),
        *("a wool-carding engine", "a silent telegraph key", "a grain elevator", "a fog signal"),
        *("a card-index cabinet", "a bicycle gear", "a coin-counting tray", "a kiln thermometer"),
    ),
    "product": (
        *("paper bags", "bicycle chains", "sewing needles", "window glass", "fishing nets"),
        *("piano keys", "fountain pens", "rubber boots", "tin toys", "surgical scissors"),
        *("elevator doors", "stage curtains", "water meters", "enamel pots", "hearing aids"),
        *("greenhouse frames", "railway signals", "chess clocks", "wool blankets", "cough drops"),
        *("camera lenses", "solar pumps", "milking machines", "garden shears"),
    ),
    "cargo": (
        *("coal", "tea", "cotton", "raw sugar", "railway sleepers", "copper ore", "dried cod"),
        *("marble blocks", "barley", "olive oil", "guano", "salted beef", "coffee", "bananas"),
        *("printing paper", "nitrate", "cement", "wool bales", "ice", "jute"),
    ),
    "animal": (
        *("a heron", "a bear", "an otter", "a stag", "a lynx", "a salmon", "a swan", "a wild boar"),
        *("a fox", "an owl", "a badger", "a falcon", "a hare", "a pike", "a wolf", "a bison"),
        *("a hedgehog", "a magpie", "a seal", "a goat"),
    ),
    "food": (
        *("earthworms", "snails", "beetle larvae", "juniper berries", "small crabs", "ants"),
        *("grass seeds", "tadpoles", "pine nuts", "fallen figs", "moths", "freshwater shrimp"),
        *("wild rice", "lichen", "mulberries", "dragonflies", "grasshoppers", "acorns"),
        *("mussels", "nectar"),
    ),
    "plant": (
        *("reeds", "hollow willows", "holly hedges", "cliff ledges", "abandoned burrows"),
        *("bramble thickets", "tall ferns", "dead poplars", "sedge tussocks", "barn roofs"),
        *("hawthorn bushes", "gravel banks", "spruce tops", "ivy-covered walls", "heather"),
        *("cactus stems", "old quarries", "mangrove roots", "bamboo groves", "drainage pipes"),
    ),
    "color": (
        *("turquoise", "crimson", "mustard yellow", "violet", "emerald green", "burnt orange"),
        *("sky blue", "chocolate brown", "pink", "navy blue", "ivory", "maroon", "olive green"),
        *("charcoal grey", "lilac", "scarlet", "peach", "cobalt blue", "lime green", "beige"),
    ),
    "collection": (
        *("pocket watches", "medieval keys", "puppets", "sea charts", "typewriters", "barometers"),
        *("glass eyes", "playing cards", "locks and bolts", "tramway tickets", "snuff boxes"),
        *("shadow lanterns", "carved pipes", "fire helmets", "kites", "tea caddies", "ship models"),
        *("beehives", "printing blocks", "wedding dresses", "weather vanes", "music boxes"),
    ),
    "dish": (
        *("plum dumplings", "smoked eel", "chestnut soup", "fried carp", "honey cake"),
        *("pickled radish", "lentil pies", "saffron buns", "goat stew", "pumpkin fritters"),
        *("barley sausages", "almond noodles", "grilled trout", "quince jelly", "onion tart"),
        *("cherry pancakes", "roast goose", "walnut bread", "mussel broth", "poppy-seed rolls"),
    ),
    "language": (
        *("Rust", "OCaml", "Haskell", "Go", "Erlang", "Ruby", "Kotlin", "Fortran", "Lua", "Scala"),
        *("Swift", "Perl", "Ada", "Clojure", "Julia", "Prolog", "Elixir", "Nim", "Zig", "Tcl"),
    ),
    "software": (
        *("backing up photo libraries", "drawing circuit diagrams", "scheduling hospital shifts"),
        *("typesetting sheet music", "tracking seed stocks", "planning bus routes"),
        *("comparing legal drafts", "simulating river floods", "cataloguing insects"),
        *("transcribing interviews", "mixing paint recipes", "editing subtitles"),
        *("mapping caves", "logging amateur radio contacts", "balancing household accounts"),
        *("reading star charts", "calibrating telescopes", "tuning church bells"),
        *("archiving court files", "routing delivery bicycles"),
    ),
    "license": (
        *("the MIT license", "the Apache license", "the GPL", "a BSD license", "the MPL"),
        *("the ISC license", "the Boost license", "the zlib license", "the EUPL", "the LGPL"),
        *("the AGPL", "the Artistic license", "the Unlicense", "the CDDL", "the WTFPL"),
    ),
    "style": (
        *("Gothic revival", "Brutalist", "Art Deco", "Baroque", "Neoclassical", "Romanesque"),
        *("Moorish revival", "Art Nouveau", "Rococo", "Modernist", "Palladian", "Constructivist"),
        *("Renaissance", "Byzantine revival", "Expressionist", "Postmodern", "Jugendstil"),
        *("Tudor revival", "Futurist", "Biedermeier"),
    ),
    "purpose": (
        *("a grain exchange", "a tobacco warehouse", "an orphanage", "a telephone exchange"),
        *("a riding school", "a customs house", "a fish market", "a courthouse", "a mint"),
        *("a sanatorium", "a pumping station", "a seminary", "a post office", "a hat factory"),
        *("an opera house", "a bus depot", "a brewery", "a swimming hall", "a weigh house"),
        *("a library for sailors",),
    ),
    "weather": (
        *("dense fog", "a hailstorm", "heavy snowfall", "a sudden thaw", "an early frost"),
        *("a dust storm", "flooded fields", "a heat wave", "driving sleet", "a thunderstorm"),
        *("a spring tide", "strong crosswinds", "three days of drizzle", "a solar eclipse"),
        *("black ice", "a landslide"),
    ),
    "issue": (
        *("herring quotas", "bridge tolls", "the salt trade", "timber rafting", "postal fees"),
        *("grazing rights", "lighthouse upkeep", "the return of prisoners", "canal dues"),
        *("the border villages", "railway gauges", "river dredging", "pilgrim routes"),
        *("mining claims", "the whale hunt", "harbour duties", "exiled nobles", "coin weights"),
    ),
    "job": (
        *("lighthouse keeper", "schoolteacher", "night porter", "piano tuner", "beekeeper"),
        *("railway clerk", "glassblower", "midwife", "smuggler", "bookbinder", "surveyor"),
        *("taxi driver", "court interpreter", "ferry pilot", "watchmaker", "gravedigger"),
        *("botanist", "telegraph operator", "chess champion", "pearl diver", "puppeteer"),
    ),
    "theme": (
        *("a forged will", "a missing violin", "a failed harvest", "a long strike"),
        *("a stolen map", "two rival bakeries", "a family of acrobats", "a flooded village"),
        *("a mutiny", "an unsent letter", "a haunted mill", "a chess tournament", "a lost twin"),
        *("a border crossing", "a duel", "a shipwreck", "a blind clockmaker", "a bank robbery"),
        *("a mountain rescue", "a village election"),
    ),
    "cause": (
        *("a kitchen fire", "unpaid taxes", "a broken dam", "a cholera outbreak", "dry rot"),
        *("a lightning strike", "a staff walkout", "a fall in wool prices", "a land dispute"),
        *("a gas explosion", "a forged permit", "an earthquake", "rising rents", "a locust plague"),
        *("a burst water main", "a lost lawsuit", "a paper shortage", "a swarm of termites"),
    ),
    "disaster": (
        *(
            "a kitchen fire",
            "a broken dam",
            "a lightning strike",
            "a gas explosion",
            "an avalanche",
        ),
        *("an earthquake", "a burst water main", "a hurricane", "a mudslide", "a tornado"),
        *("an electrical fault", "a forest fire", "a meteorite", "a collapsed crane", "a tsunami"),
        *("a leaking gas pipe", "a runaway truck", "a sinkhole"),
    ),
    "nickname": (
        *("the Millers", "the Herons", "the Iron Boots", "the Lamplighters", "the Foxes"),
        *("the Bakers", "the Blue Wall", "the Ferrymen", "the Tin Men", "the Wasps"),
        *("the Colliers", "the Saints of Clay", "the Seagulls", "the Weavers", "the Mules"),
        *("the Coopers", "the Thistles", "the Bellringers", "the Otters", "the Salters"),
    ),
    "subject": (
        *("hydrology", "bookkeeping", "forestry", "marine law", "veterinary medicine"),
        *("astronomy", "textile design", "geodesy", "pharmacy", "music theory", "mining"),
        *("horticulture", "optics", "theology", "nautical science", "food chemistry"),
        *("photography", "social work", "ceramics", "crystallography"),
    ),
}
OPENERS = (
    "According to a later account, ",
    "By most accounts, ",
    "As local papers noted at the time, ",
    "Despite earlier plans, ",
    "For reasons that are still debated, ",
    "As is often pointed out, ",
    "To the surprise of many observers, ",
    "In the words of one guidebook, ",
    "As surviving letters make clear, ",
    "Contrary to a common belief, ",
)
TAILS = (
    ", although the records of the time are far from complete",
    ", a detail that most later writers repeat",
    ", as an inquiry confirmed some years afterwards",
    ", as far as is known",
    " (see the list of sources below)",
    ", according to the most recent survey",
    ", although a rival account says otherwise about the details",
    "; the original papers are kept in the regional archive",
    ", a fact that is recorded on a small brass plate near the entrance to the town hall",
    ", as anybody in the area will confirm without being asked",
    ", which is mentioned in passing in the memoirs of {person}",
    ", at least if the older of the two surviving reports can be trusted",
)
