"""What the generated Earth borrows from the real one: heights, deserts, wet lands, warm shores.

Coarse on purpose (a row stands for thousands of kilometres) and written from general knowledge of
the globe. All positions are (latitude, longitude) in degrees.
"""

from typing import NamedTuple


class Range(NamedTuple):
    """A mountain range or plateau: crest height and half-width in km along a polyline."""

    name: str
    height_km: float
    width_km: float
    crest: tuple[tuple[float, float], ...]


class Spot(NamedTuple):
    """A round patch of the Earth that adds `amount` at its centre, fading with `width_km`."""

    name: str
    latitude: float
    longitude: float
    width_km: float
    amount: float


RANGES: tuple[Range, ...] = (
    Range("Alaska Range", 2.2, 180, ((60, -152), (63, -148), (61, -140))),
    Range("Rocky Mountains", 2.4, 330, ((58, -125), (50, -116), (43, -110), (34, -106))),
    Range("Cascades and Sierra Nevada", 1.9, 110, ((49, -121), (44, -122), (39, -120), (36, -118))),
    Range("Sierra Madre", 2.0, 200, ((30, -108), (24, -105), (19.5, -99), (16, -93), (14.5, -90))),
    Range("Appalachians", 0.9, 130, ((45, -71), (41, -77), (36, -82))),
    Range("Northern Andes", 2.7, 140, ((8, -72), (4, -74.5), (-1, -78.5), (-7, -78))),
    Range("Altiplano", 3.9, 200, ((-11, -76), (-15, -71), (-19, -67.5), (-24, -67))),
    Range("Southern Andes", 2.5, 110, ((-27, -69), (-33, -70), (-40, -71.5), (-49, -73))),
    Range("Brazilian highlands", 0.9, 300, ((-15, -46), (-20, -44), (-22, -45))),
    Range("Alps", 2.2, 120, ((44.5, 7), (46.2, 8), (47, 11.5), (46.7, 14))),
    Range("Pyrenees", 1.7, 70, ((42.8, -1), (42.6, 2))),
    Range("Spanish plateau", 0.8, 200, ((41, -5), (39, -3))),
    Range("Scandinavian mountains", 1.2, 130, ((60, 8), (64, 13), (68, 18))),
    Range("Carpathians", 1.2, 90, ((49, 20), (48, 24), (45.5, 25.5))),
    Range("Dinarides", 1.1, 90, ((45, 15), (43, 19), (40, 21.5))),
    Range("Atlas", 1.9, 110, ((31, -8), (33, -4), (35, 1), (36, 6))),
    Range("Anatolia", 1.5, 220, ((39, 31), (39, 36), (39.5, 42))),
    Range("Caucasus", 2.3, 80, ((43.5, 40), (42.5, 45), (41.5, 48))),
    Range("Zagros", 2.0, 180, ((37, 46), (33, 49), (29, 54))),
    Range("Yemen highlands", 2.0, 110, ((14, 44.5), (18.5, 42.5))),
    Range("Ethiopian highlands", 2.4, 230, ((13, 38.5), (9, 39), (6.5, 37.5))),
    Range("East African highlands", 1.6, 260, ((0, 36.5), (-4, 35), (-1.5, 30))),
    Range("Drakensberg and Highveld", 1.6, 220, ((-26, 28.5), (-29.5, 28.5), (-31.5, 26))),
    Range("Bie plateau", 1.3, 220, ((-12, 16),)),
    Range("Urals", 0.8, 80, ((65, 60), (58, 59), (53, 58))),
    Range("Pamir and Hindu Kush", 3.4, 190, ((35, 69), (37.5, 72), (40, 74))),
    Range("Tian Shan", 2.6, 130, ((42, 76), (43, 84), (43, 90))),
    Range("Tibet", 4.6, 400, ((33.5, 80), (33, 87), (32.5, 94))),
    Range("Himalaya", 4.0, 120, ((34, 75), (30, 80), (28, 85.5), (27.8, 91))),
    Range("Altai and Khangai", 2.0, 230, ((49.5, 88), (47.5, 98))),
    Range("Yunnan", 2.0, 200, ((25.5, 101), (29, 101))),
    Range("East Siberian ranges", 1.2, 260, ((57, 118), (63, 138), (66, 146))),
    Range("Japanese Alps", 1.2, 60, ((36, 138), (39, 140.5))),
    Range("New Guinea highlands", 2.2, 110, ((-4, 138), (-6, 145))),
    Range("Great Dividing Range", 0.8, 110, ((-37, 147), (-33, 150), (-28, 152))),
    Range("Southern Alps", 1.4, 70, ((-45, 168), (-43, 171))),
    Range("Greenland ice", 2.5, 480, ((64, -46), (70, -40), (76, -40))),
    Range("Antarctic plateau", 3.0, 1500, ((-82, 60), (-85, 0), (-80, 110))),
)

# Added to the moisture (0 dry, 1 wet) that the latitude alone would give.
MOISTURE: tuple[Spot, ...] = (
    Spot("Western Sahara", 23, -8, 900, -0.7),
    Spot("Central Sahara", 23, 10, 900, -0.8),
    Spot("Libyan desert", 25, 26, 800, -0.8),
    Spot("Arabia", 22, 48, 800, -0.75),
    Spot("Iran and Thar", 29, 62, 700, -0.55),
    Spot("Karakum", 41, 60, 600, -0.5),
    Spot("Taklamakan and Gobi", 42, 94, 900, -0.6),
    Spot("Tibet", 33, 87, 500, -0.3),
    Spot("Mojave and Sonora", 34, -114, 550, -0.6),
    Spot("Great Basin", 40, -115, 400, -0.35),
    Spot("Chihuahua", 28, -104, 400, -0.4),
    Spot("Atacama", -22, -69.5, 420, -0.8),
    Spot("Patagonia", -45, -69, 420, -0.45),
    Spot("Namib and Kalahari", -24, 18, 600, -0.55),
    Spot("Horn of Africa", 6, 46, 500, -0.6),
    Spot("Australian desert", -25, 129, 950, -0.6),
    Spot("Western Amazon", -4, -68, 1100, 0.45),
    Spot("Eastern Amazon", -3, -55, 800, 0.35),
    Spot("Congo", 0, 21, 800, 0.4),
    Spot("Guinea coast", 7, -6, 500, 0.3),
    Spot("Indonesia", -2, 112, 1400, 0.4),
    Spot("Indochina", 14, 102, 700, 0.25),
    Spot("Bengal and Assam", 25, 91, 450, 0.4),
    Spot("South China", 26, 112, 800, 0.35),
    Spot("Japan", 36, 138, 600, 0.3),
    Spot("British Isles", 54, -5, 600, 0.3),
    Spot("Norwegian coast", 62, 7, 400, 0.3),
    Spot("Central Europe", 49, 10, 700, 0.2),
    Spot("Cascadia", 50, -124, 450, 0.4),
    Spot("American South-East", 33, -84, 700, 0.3),
    Spot("Southern Brazil", -25, -50, 600, 0.3),
    Spot("New Zealand", -43, 171, 500, 0.3),
)

# Degrees Celsius that currents and winds add to the latitude's mean.
WARMTH: tuple[Spot, ...] = (
    Spot("Gulf Stream", 56, -2, 1400, 8.0),
    Spot("Norwegian current", 67, 15, 900, 9.0),
    Spot("Mediterranean", 40, 14, 1100, 3.0),
    Spot("Cascadia", 49, -125, 700, 5.0),
    Spot("Sahara", 21, 10, 2000, 4.0),
    Spot("Arabia", 23, 48, 1000, 4.0),
    Spot("Siberia", 64, 125, 1800, -6.0),
    Spot("Labrador", 57, -68, 900, -4.0),
    Spot("Greenland", 74, -40, 1000, -8.0),
    Spot("Manchuria", 46, 126, 800, -3.0),
)

# Where people carry cameras, relative to the climate's own appeal.
CAMERAS: tuple[Spot, ...] = (
    Spot("Western Europe", 49, 4, 900, 5.4),
    Spot("Italy and the Balkans", 43, 14, 700, 3.7),
    Spot("British Isles", 53, -2, 450, 3.4),
    Spot("American East", 40, -77, 800, 4.4),
    Spot("American West", 38, -120, 700, 3.7),
    Spot("Mexico", 20, -99, 600, 1.7),
    Spot("Brazilian coast", -23, -45, 700, 2.2),
    Spot("River Plate", -34, -60, 500, 1.7),
    Spot("Japan and Korea", 36, 135, 800, 4.4),
    Spot("Eastern China", 31, 118, 800, 2.0),
    Spot("South-East Asia", 8, 105, 1200, 2.4),
    Spot("India", 20, 77, 1000, 2.0),
    Spot("South-East Australia", -35, 148, 700, 3.1),
    Spot("New Zealand", -41, 173, 500, 2.2),
    Spot("Cape", -32, 23, 700, 1.7),
    Spot("East Africa", -2, 36, 700, 1.4),
    Spot("Maghreb and Egypt", 32, 5, 1200, 1.4),
)


class Ground(NamedTuple):
    """A land known for the colour (RRGGBB) of its earth, fading with `width_km`."""

    name: str
    latitude: float
    longitude: float
    width_km: float
    colour: str


GROUNDS: tuple[Ground, ...] = (
    Ground("Red centre of Australia", -25, 131, 1200, "c04a20"),
    Ground("Australian wheat belt", -34, 145, 700, "c9945a"),
    Ground("Sahara", 24, 2, 1700, "ecb560"),
    Ground("Libyan desert", 25, 27, 900, "f0d28c"),
    Ground("Arabian sand", 22, 50, 1000, "f0c088"),
    Ground("Iranian plateau", 33, 56, 700, "c8a078"),
    Ground("Karakum", 42, 62, 800, "d8c8a0"),
    Ground("Gobi", 43, 102, 900, "b0a088"),
    Ground("Loess", 37, 110, 700, "d9b050"),
    Ground("Yangtze paddies", 29, 115, 600, "8a7a5c"),
    Ground("Black earth", 50, 38, 1100, "3c322c"),
    Ground("Northern podzol", 62, 24, 900, "8c8478"),
    Ground("Taiga peat", 60, 90, 1600, "5c4c3c"),
    Ground("Western European loam", 49, 3, 700, "8c6844"),
    Ground("Terra rossa", 40, 16, 900, "b85c38"),
    Ground("Castile", 40, -4, 500, "cc9050"),
    Ground("West African laterite", 9, 0, 1200, "b8502c"),
    Ground("East African laterite", -2, 36, 900, "a83c24"),
    Ground("Kalahari", -23, 20, 800, "d88450"),
    Ground("Veld", -29, 27, 600, "a87444"),
    Ground("Congo clay", -2, 20, 900, "a85a30"),
    Ground("Deccan cotton soil", 19, 77, 600, "443c3a"),
    Ground("Gangetic silt", 27, 80, 700, "c0a884"),
    Ground("Indochina", 14, 104, 900, "c8683c"),
    Ground("Volcanic isles", -6, 112, 1000, "54443c"),
    Ground("Japanese andosol", 36, 138, 700, "4c3c34"),
    Ground("Canadian shield", 50, -85, 1000, "7c7068"),
    Ground("Prairie", 45, -100, 900, "50443a"),
    Ground("Colorado plateau", 36, -110, 700, "c4643c"),
    Ground("California", 37, -120, 500, "c8a468"),
    Ground("Georgia clay", 33, -84, 700, "b8502c"),
    Ground("New England", 43, -73, 600, "6c5848"),
    Ground("Mexican highland", 21, -101, 700, "b88c5c"),
    Ground("Amazon clay", -5, -62, 1200, "d08040"),
    Ground("Terra roxa", -21, -49, 900, "8c2c1c"),
    Ground("Caatinga", -9, -41, 700, "d8a878"),
    Ground("Pampas", -34, -62, 800, "5c4838"),
    Ground("Patagonian steppe", -47, -69, 700, "a89878"),
    Ground("Atacama", -22, -69, 700, "c48864"),
    Ground("Iceland lava", 65, -19, 500, "34302e"),
)
