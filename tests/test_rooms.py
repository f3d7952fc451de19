"""The rooms of the package and the order of their imports, as docs/architecture.md states them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "geosurge_jax"

# A room imports from those before it and from itself.
ORDER = (
    "untrusted_text", "command_end", "progress", "threads", "worker_processes", "delimited", "geo",
    "dataset", "input", "models", "systems", "training", "evaluation", "compilation", "interop",
    "importing", "synthetic_earth", "experiment", "serving",
)  # fmt: skip
# Libraries that only some rooms or files know.
CONFINED = {
    "orbax": (
        "training/checkpoint.py", "training/retention.py", "training/stored.py",
        "training/stored_parameters.py",
    ),
    "grain": ("dataset/", "input/", "importing/"),
    "tensorflow_datasets": ("dataset/", "input/", "importing/", "synthetic_earth/"),
    "array_record": ("dataset/", "input/", "importing/"),
    "torch": ("importing/segment_library.py",),
    "transformers": ("importing/segment_library.py",),
}  # fmt: skip


def imports(path):
    """Names of the modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "geosurge_jax":
                yield from (f"geosurge_jax.{alias.name}" for alias in node.names)


def files():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_stands_in_the_order():
    assert {room_of(path) for path in files()} == {*ORDER, "__init__"}


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_from_those_before_it(room):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files()
        if room_of(path) == room
        for name in imports(path)
        if name.startswith("geosurge_jax.")
        and name.split(".")[1] in ORDER
        and ORDER.index(name.split(".")[1]) > ORDER.index(room)
    ]
    assert not wrong


def test_the_package_imports_no_folder_beside_it():
    outside = re.compile(r"(data|configs|tests|benchmarks|run)(\.|$)")
    wrong = [
        f"{p.relative_to(ROOT)}: {name}"
        for p in files()
        for name in imports(p)
        if outside.match(name)
    ]
    assert not wrong


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_is_imported_where_it_belongs(library):
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in files()
        for name in imports(path)
        if name.split(".")[0] == library
    }
    assert found and all(name.startswith(CONFINED[library]) for name in found)


def test_one_file_makes_meshes():
    makers = [p for p in files() if re.search(r"\b(make_mesh|Mesh)\(", p.read_text())]
    calls = [p for p in makers if re.search(r"jax\.make_mesh\(|[^\w]Mesh\(", p.read_text())]
    assert [p.relative_to(PACKAGE).as_posix() for p in calls] == ["training/mesh.py"]
