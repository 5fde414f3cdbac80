"""Words for the pictures: what each composition shows, in the colours of each palette."""

from random import Random

SUBJECTS: dict[str, tuple[str, ...]] = {
    "marble": (
        "polished marble slab with veins that branch and rejoin like slow rivers",
        "swirls of ink folding into milk, frozen in the moment before they mix",
        "paper marbled by hand, combed once and left to dry in the sun",
        "liquid metal poured over stone, still warm, catching the window light",
    ),
    "contours": (
        "topographic map of an island that nobody has found yet, thin contour lines",
        "layers of cut paper stacked into hills and valleys, seen from above",
        "relief of a mountain lake drawn by a patient cartographer",
        "terraced fields from the air, every step a shade lighter",
    ),
    "silk": (
        "ribbons of silk drifting in a slow wind, lit from behind",
        "folded satin with a sheen that runs along every crease",
        "flowing lines of light over dark water, long exposure",
        "soft waves of fabric, studio light, close up",
    ),
    "mandala": (
        "symmetrical flower of light with petals inside petals",
        "rose window of a quiet cathedral, seen straight on",
        "kaleidoscope of glass beads at the end of a brass tube",
        "paper lantern folded from a single sheet, seen from below",
    ),
    "weave": (
        "basket woven from wide ribbons, over and under, soft shadows between",
        "close up of a handwoven blanket, every strand a little different",
        "lattice of bent wood that flows like water",
        "tapestry of thick yarn, raking light from the left",
    ),
    "agate": (
        "slice of agate with rings around every hollow, polished to a mirror",
        "river pebbles under clear water, rings of light between them",
        "coral garden seen from above, rounded shapes with bright rims",
        "cells under a microscope, each with a glowing heart",
    ),
    "glass": (
        "stained glass window in dark lead, the afternoon sun behind it",
        "mosaic of broken bottles set in black mortar",
        "geometric window of coloured panes in an old railway station",
        "leaded glass lamp shade, lit from within",
    ),
    "ripples": (
        "rings on a pond where three drops have fallen at once",
        "raked sand of a garden, the lines bending round invisible stones",
        "water seen from below at noon, light dancing in bands",
        "sound made visible as waves crossing each other",
    ),
    "dunes": (
        "layers of hills in the haze of the first hour, a low round sun above them",
        "desert dunes at dusk, each ridge a tone darker than the one behind",
        "a valley in morning mist, minimal landscape in flat layers",
        "quiet countryside under a huge sun, poster in the style of old travel prints",
    ),
    "tide": (
        "calm sea at sunset, a path of light leading to the horizon",
        "the sun touching the ocean, gentle swell, no boats in sight",
        "evening tide with the sky mirrored in long ripples",
        "a warm ocean horizon after rain, streaks of high cloud",
    ),
    "peaks": (
        "alpine ridge under a full moon, fresh snow on the faces to the light",
        "jagged mountains rising behind a dark valley, crisp air",
        "two ranges of peaks, the far one pale, the near one sharp",
        "glacier country at night, a bright disc hanging over the summit",
    ),
    "nebula": (
        "nebula where new stars are lit, veils of gas and fine dust",
        "deep field photograph of a glowing cloud between the stars",
        "cosmic smoke curling round a bright core",
        "star nursery at the edge of a spiral arm, delicate filaments",
    ),
    "aurora": (
        "northern lights standing over dark hills, stars between the curtains",
        "aurora above a fjord, tall rays that fade into the night",
        "curtains of light over the tundra, silent and very cold",
        "the polar sky on fire above a line of spruce forest",
    ),
    "planet": (
        "gas giant with broad storm bands, half in shadow, stars behind",
        "a lonely planet drifting through thin dust, rim lit by a hidden sun",
        "view from a passing probe of a striped world and its bright limb",
        "portrait of an exoplanet, soft terminator, cinematic",
    ),
    "lanterns": (
        "hundreds of paper lanterns out of focus, rising into the evening",
        "city lights through a rainy window, soft round bokeh",
        "floating bubbles of light in a dark room",
        "festival lights behind a pane of fogged glass",
    ),
}

COLOURS: dict[str, tuple[str, ...]] = {
    "ember": ("glowing coals and candlelight", "deep plum burning into gold"),
    "lagoon": ("turquoise shallows over white sand", "deep water blues and sea foam"),
    "orchid": ("violet, magenta and blush", "orchid petals against the night"),
    "boreal": ("emerald and lime on midnight blue", "polar greens"),
    "citrus": ("lime, lemon and blood orange", "fresh citrus colours"),
    "midnight": ("indigo and moonlight", "royal blue fading to pearl"),
    "jade": ("jade and pale straw", "wet leaves and old bronze"),
    "patina": ("verdigris and copper", "weathered teal against rust"),
    "arcade": ("neon pink and electric cyan", "arcade lights, purple and blue"),
    "sakura": ("cherry blossom pinks", "rose and porcelain"),
    "mesa": ("terracotta, apricot and a thin line of sky blue", "canyon reds at dusk"),
    "glacier": ("glacier blues and cold white", "ice in the shade"),
    "peacock": ("peacock blue, green and amber", "teal running into mango"),
    "saffron": ("saffron, honey and burnt sugar", "molten gold on dark wood"),
    "borealis": ("ultraviolet, cyan and acid green", "electric blues and mint"),
    "coral": ("coral, cream and deep teal", "reef colours, warm against cool"),
}

STYLES = (
    "highly detailed",
    "soft volumetric light",
    "shot on medium format film",
    "gentle vignette",
    "quiet mood, lots of depth",
    "clean composition",
    "subtle grain",
    "wide dynamic range",
    "painterly, visible texture",
    "crisp edges",
    "award winning photograph",
    "calm and luminous",
    "ray traced reflections",
    "balanced symmetry",
    "fine art print",
)
AFTERTHOUGHTS = (
    "Keep the middle of the frame calm so that a title can sit there later.",
    "Nothing should feel hurried; leave generous space around the brightest part.",
    "The light comes from the upper left and fades slowly towards the lower corner.",
    "No people, no text and no border, only the material and the light on it.",
    "Make it look like something one would want to touch and then put on a wall.",
)
MOTIONS = (
    "the camera drifts slowly in a circle",
    "colours flow without end, perfect loop",
    "slow cinematic pan, seamless loop",
    "gentle breathing motion, no cuts",
)

LONG = " ".join(
    f"Chapter {number}: the traveller walks on through {place}, and writes down every colour of it."
    for number, place in enumerate(
        (
            "a market of lamps",
            "the salt gardens",
            "a library of glass",
            "the slow river",
            "an orchard at night",
        )
        * 24,
        1,
    )
)
HOSTILE = (
    '<script>alert("prompt")</script> <b>bold</b> & "quoted" '
    "\u202e\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd\u202c "
    "مرحبا بالعالم 🌌🦊👩🏽‍🚀 <img src=x onerror=alert(1)> {{ template }} %s ' OR 1=1 --"
)


def prompt_for(rng: Random, composition: str, palette: str, video: bool) -> str:
    """Between 8 and 60 words."""
    parts = [rng.choice(SUBJECTS[composition]), rng.choice(COLOURS[palette])]
    parts += rng.sample(STYLES, rng.choice([0, 1, 2, 3, 4]))
    if video:
        parts.append(rng.choice(MOTIONS))
    text = ", ".join(parts)
    if rng.random() < 0.35:
        extra = rng.sample(AFTERTHOUGHTS, rng.choice([1, 1, 2]))
        return f"{text[0].upper()}{text[1:]}. {' '.join(extra)}"
    return text
