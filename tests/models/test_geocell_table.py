import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.models.geocell_table import GeocellTable, padded_rows

ROW_MULTIPLE = 128


def scored(targets, visual, cells=(3, 130)):
    table = GeocellTable(
        cells=cells, width=6, row_multiple=ROW_MULTIPLE, targets=targets, initial_temperature=0.07
    )
    params = table.init(jax.random.key(0), jnp.asarray(visual, jnp.float32))["params"]
    return params, table.apply({"params": params}, jnp.asarray(visual, jnp.float32))


def test_embedding_scores_are_cosines_over_temperature():
    visual = np.random.default_rng(0).normal(size=(4, 6))
    params, scores = scored("embedding", visual)
    for level, cells in enumerate((3, 130)):
        vectors = np.asarray(params[f"level_{level}"], np.float64)[:cells]
        cosine = visual @ vectors.T
        cosine /= np.linalg.norm(visual, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)[None]
        np.testing.assert_allclose(scores[level][:, :cells], cosine / 0.07, rtol=1e-4, atol=1e-4)


def test_class_scores_are_a_linear_classifier():
    visual = np.random.default_rng(0).normal(size=(4, 6))
    params, scores = scored("class", visual)
    assert "log_temperature" not in params
    expected = visual @ np.asarray(params["level_1"], np.float64).T + np.asarray(params["bias_1"])
    np.testing.assert_allclose(scores[1][:, :130], expected[:, :130], atol=1e-5)


def test_each_level_may_have_a_vector_of_its_own():
    visual = np.random.default_rng(0).normal(size=(4, 2, 6))
    params, scores = scored("class", visual)
    for level, cells in enumerate((3, 130)):
        expected = visual[:, level] @ np.asarray(params[f"level_{level}"], np.float64).T
        np.testing.assert_allclose(scores[level][:, :cells], expected[:, :cells], atol=1e-5)


def test_padding_never_wins_and_rows_fit_any_table_axis():
    _, scores = scored("embedding", np.ones((2, 6)))
    assert [s.shape[1] for s in scores] == [ROW_MULTIPLE, 2 * ROW_MULTIPLE]
    assert np.all(np.asarray(scores[0])[:, 3:] < -1e8)
    assert padded_rows(ROW_MULTIPLE, ROW_MULTIPLE) == ROW_MULTIPLE
    np.testing.assert_allclose(
        np.exp(jax.nn.log_softmax(scores[0]))[:, :3].sum(axis=1), 1.0, atol=1e-6
    )
