"""The tutorials run from the first cell to the last, on a small model and made-up photos."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.serving.releases import images, write_release

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.ipynb"))


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """A release, a folder of photos, and a cache, named in the environment as the tutorials say."""
    place = tmp_path_factory.mktemp("tutorial")
    write_release(place / "model")
    (place / "photos").mkdir()
    for number, pixels in enumerate(images()):
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    return {
        "GEOSURGE_MODEL": str(place / "model"),
        "GEOSURGE_PHOTOS": str(place / "photos"),
        "GEOSURGE_JAX_CACHE": str(place / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook client's own libraries
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path, surroundings):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(env=os.environ | surroundings)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all(cell.outputs for cell in cells)
    shown = str([cell.outputs for cell in cells])
    assert "text/html" in shown and "<svg" in shown and "missing.jpg: cannot be read" in shown


def test_tutorials_keep_their_outputs():
    """Who reads a tutorial on a page sees pictures without running it."""
    for path in TUTORIALS:
        notebook = nbformat.read(path, as_version=4)
        assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code"), path
