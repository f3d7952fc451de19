"""Photos of the generated Earth as records, on any number of processes the same bytes."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg

from geosurge_jax.dataset.record import Record
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.synthetic_earth.geography import World, build_world
from geosurge_jax.synthetic_earth.render import render_photo
from geosurge_jax.synthetic_earth.sampling import Plan, plan_photos, sample_nuisance
from geosurge_jax.worker_processes import WorkerProcesses

LICENCE = "CC0-1.0"
_JPEG_QUALITY = 90
_CHUNK = 32


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one plan, rendered when iterated.

    Attributes:
        world: Where they are taken; its seed is also that of the conditions.
        plan: All photos of the data set, those of other splits too.
        indexes: Which of them are in this set, in order.
        size: Pixels of a side.
        workers: Processes that render; 1 renders in this one.
    """

    world: World
    plan: Plan
    indexes: np.ndarray
    size: int
    workers: int

    def __len__(self) -> int:
        """How many photos there are, so that progress can show the time left."""
        return len(self.indexes)

    def __iter__(self) -> Iterator[Record]:
        """Render and encode the photos in order."""
        chunks = [self.indexes[i : i + _CHUNK] for i in range(0, len(self), _CHUNK)]
        tasks = [(self.world, self._part(chunk), chunk, self.size) for chunk in chunks]
        if self.workers == 1:
            return itertools.chain.from_iterable(_render_chunk(*task) for task in tasks)
        return _render_in_parallel(tasks, self.workers)

    def _part(self, chunk: np.ndarray) -> Plan:
        plan = self.plan
        return Plan(plan.latlng[chunk], plan.author[chunk], plan.viewpoint[chunk])


def planet_records(count: int, size: int, seed: int, first: int, last: int) -> Iterator[Record]:
    """Records first..last-1 of the data set of `count` photos of size x size pixels.

    Raises:
        ValueError: Not 0 <= first <= last <= count.
    """
    if not 0 <= first <= last <= count:
        raise ValueError(f"records {first} to {last}: expected a range within 0 to {count}")
    world = build_world(seed)
    plan = plan_photos(world, count, seed)
    return iter(PhotoSet(world, plan, np.arange(first, last), size, workers=1))


def _render_chunk(world: World, plan: Plan, indexes: np.ndarray, size: int) -> list[Record]:
    seed, records = world.seed, []
    for index, latlng, author, viewpoint in zip(
        indexes.tolist(), plan.latlng.tolist(), plan.author.tolist(), plan.viewpoint.tolist(),
        strict=True,
    ):  # fmt: skip
        nuisance = sample_nuisance(seed, index, author, viewpoint)
        pixels, classes, scene = render_photo(tuple(latlng), nuisance, size, world)
        records.append(
            Record(
                id=f"planet-{seed}-{index:07d}",
                image=simplejpeg.encode_jpeg(pixels, quality=_JPEG_QUALITY, colorsubsampling="444"),
                latlng=tuple(latlng),
                segmentation=write_plain_png(classes),
                scene=scene,
                author=author_name(seed, author),
                licence=LICENCE,
            )
        )
    return records


def author_name(seed: int, author: int) -> str:
    """Name of an author by number."""
    return f"planet-{seed}-author-{author:06d}"


def _render_in_parallel(tasks: list[tuple], workers: int) -> Iterator[Record]:
    """Chunks in order from worker processes, a bounded number of them ahead of the reader."""
    with WorkerProcesses(workers) as pool:
        waiting = iter(tasks)
        ahead = deque(
            pool.submit(_render_chunk, *task) for task in itertools.islice(waiting, 4 * workers)
        )
        while ahead:
            records = ahead.popleft().result()
            ahead.extend(pool.submit(_render_chunk, *task) for task in itertools.islice(waiting, 1))
            yield from records
