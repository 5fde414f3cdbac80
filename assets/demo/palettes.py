"""Named gradients, from the darkest colour to the lightest, blended in a space where blends stay vivid."""

from functools import cache

import pyvips

PALETTES: dict[str, tuple[str, ...]] = {
    "ember": ("#12041f", "#4a0d3a", "#a3174a", "#ef3e36", "#ff8c2e", "#ffd166", "#fff4d6"),
    "lagoon": ("#021526", "#053f63", "#0878a4", "#14b8c4", "#6fe8c8", "#d7fbe8", "#fffdf2"),
    "orchid": ("#160632", "#46107a", "#8d1fb0", "#d63fb4", "#ff7fb0", "#ffc2cf", "#fff2ec"),
    "boreal": ("#030b1c", "#0b2d55", "#0d6e6e", "#19c37d", "#8df58a", "#e3ffb8", "#f6e9ff"),
    "citrus": ("#14280a", "#2f6b1d", "#83b51b", "#f2d21b", "#ffa41b", "#ff6a3d", "#fff0d2"),
    "midnight": ("#04040f", "#11164a", "#2b3bb5", "#5b7cff", "#8fc1ff", "#f0d9ff", "#fff7e0"),
    "jade": ("#02110f", "#07403a", "#0f7f63", "#3fc288", "#b4e8a0", "#f4f1b5", "#fff9e6"),
    "patina": ("#10130f", "#113f3f", "#1f8a83", "#7fd3bf", "#f0c79a", "#e2713f", "#7a2417"),
    "arcade": ("#0a0524", "#3a0ca3", "#7209b7", "#f72585", "#ff8fa3", "#4cc9f0", "#e8fbff"),
    "sakura": ("#2b0a1f", "#7a1f4b", "#d9517f", "#f79ab0", "#fdd3d8", "#fff1ee", "#e4f3f1"),
    "mesa": ("#1f0f2e", "#5b1f4a", "#b23a48", "#ef7b45", "#f9c46b", "#fde9c0", "#7fc6c9"),
    "glacier": ("#061426", "#123a66", "#2f77b5", "#77b7e6", "#c3e4f7", "#f7fbff", "#ffd9e2"),
    "peacock": ("#04131f", "#04395e", "#00758a", "#00b28a", "#c8d645", "#ffb733", "#f5564a"),
    "saffron": ("#1b0b06", "#5c1a0b", "#b4430f", "#f08a0c", "#ffc93c", "#fff0a8", "#ffffff"),
    "borealis": ("#05021a", "#24106b", "#5a2fd6", "#2aa6ff", "#2ef2c0", "#d2ff72", "#fffbe0"),
    "coral": ("#052a36", "#0f6b70", "#5cc1a8", "#ffe3b3", "#ffa583", "#ff5f5d", "#8e1b4a"),
}
STEPS = 1024

Colour = tuple[float, float, float]


@cache
def gradient(name: str) -> pyvips.Image:
    """The palette as a look-up table of one row."""
    return _row([blend(name, step / (STEPS - 1)) for step in range(STEPS)])


@cache
def cycle(name: str) -> pyvips.Image:
    """The palette there and back, so that it can turn without a seam."""
    return _row([blend(name, 1 - abs(2 * step / STEPS - 1)) for step in range(STEPS)])


@cache
def blend(name: str, position: float) -> Colour:
    """The colour at a position from 0 (darkest stop) to 1, as red, green and blue up to 255."""
    stops = _stops(name)
    place = min(max(position, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    share = place - index
    lab = tuple(a + (b - a) * share for a, b in zip(stops[index], stops[index + 1], strict=True))
    return _rgb(lab)


def _row(colours: list[Colour]) -> pyvips.Image:
    data = bytes(round(channel) for colour in colours for channel in colour)
    return pyvips.Image.new_from_memory(data, len(colours), 1, 3, "uchar").copy(interpretation="srgb")


@cache
def _stops(name: str) -> tuple[Colour, ...]:
    return tuple(_oklab(colour) for colour in PALETTES[name])


def _oklab(colour: str) -> Colour:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _rgb(lab: Colour) -> Colour:
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encoded(channel: float) -> float:
    channel = min(max(channel, 0.0), 1.0)
    return 255 * (12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055)
