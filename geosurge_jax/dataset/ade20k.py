"""The 150 classes of ADE20K scene parsing (Zhou et al., CVPR 2017), in the order of the benchmark.

Ids are 0-based, as the class maps of `Record.segmentation` hold them; 255 stands for unknown.
"""

from collections.abc import Sequence

_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass,
cabinet, sidewalk, person, earth, door, table, mountain, plant, curtain, chair,
car, water, painting, sofa, shelf, house, sea, mirror, rug, field,
armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel,
bus, towel, light, truck, tower, chandelier, awning, streetlight, booth, television receiver,
airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet,
poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool,
stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball,
food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher,
screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan,
pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""

CLASSES: tuple[str, ...] = tuple(name.strip() for name in _NAMES.split(","))
UNKNOWN = 255

_SYNONYMS = {
    "window": "windowpane",
    "tub": "bathtub",
    "rail": "railing",
    "street lamp": "streetlight",
    "tv": "television receiver",
    "plane": "airplane",
    "clothes": "apparel",
    "pool": "swimming pool",
    "falls": "waterfall",
    "trash can": "ashcan",
}
"""What the models of Mask2Former's and OneFormer's family call ten of the classes."""

_IDS = {name: number for number, name in enumerate(CLASSES)}


def class_id(name: str) -> int:
    """The 0-based id of a class.

    Raises:
        ValueError: `name` is not one of the 150 names.
    """
    if name not in _IDS:
        raise ValueError(f"ADE20K class {name!r}: expected one of the 150 names in data/ade20k.py")
    return _IDS[name]


def canonical(name: str) -> str:
    """The benchmark's name of a class that others list with synonyms ("road, route") or by another one."""
    first = name.partition(",")[0].strip().lower()
    return _SYNONYMS.get(first, first)


def is_ade20k(names: Sequence[str]) -> bool:
    """Whether a model's classes are the 150 of the benchmark in their order, by whatever names."""
    return tuple(canonical(name) for name in names) == CLASSES
