"""Examples and exit codes below the help of each subcommand."""

from geosurge_jax.serving.commands.exit_codes import EXIT_CODES

EXAMPLES = {
    "geosurge": (
        "geosurge models",
        "geosurge predict holiday.jpg --model geoclip",
        "geosurge predict trip/ --model runs/mine --out trip.csv",
        "geosurge train --config=configs/geosurge.py:demo --workdir=runs/demo",
    ),
    "predict": (
        "geosurge predict holiday.jpg --model geoclip",
        "geosurge predict trip/ --model geoclip --out trip.geojson",
        "geosurge predict trip/ --model geoclip --out trip.geojson --resume",
        "find . -name '*.jpg' -print0 | geosurge predict - --model runs/mine --format jsonl",
        "geosurge predict trip/ --model geoclip --format csv --compare-exif --sidecar",
    ),
    "query": (
        'geosurge query "a fishing village in Norway" --model geoclip',
        'geosurge query "rice terraces" "a desert road" --model geoclip --format jsonl',
    ),
    "embed": ("geosurge embed trip/ --model geoclip --out trip.npz",),
    "models": ("geosurge models",),
    "info": ("geosurge info runs/mine", "geosurge info geoclip --local-files-only"),
}
# Keeps the help's formatter from filling the lines below it into one paragraph.
_AS_IT_IS = "\b\n"


def epilog(name: str) -> str:
    """Returns what stands below the help of a subcommand, or of `geosurge` itself."""
    examples = "\n".join(f"  {line}" for line in EXAMPLES[name])
    return f"{_AS_IT_IS}Examples:\n{examples}\n\n{_AS_IT_IS}{EXIT_CODES}"


def forwarded_epilog(mode: str) -> str:
    """Returns the same for a mode of run.py."""
    return (
        f"{_AS_IT_IS}Examples:\n"
        f"  geosurge {mode} --config=configs/geosurge.py:demo --workdir=runs/demo\n"
        f"  geosurge {mode} --help"
    )
