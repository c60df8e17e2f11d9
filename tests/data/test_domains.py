"""Domains: how images are shown in them, and that no image is in two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steadygan.config import DataConfig
from steadygan.data.domains import DOMAINS, check_domains, edge, negative
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError

ROWS = arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 2), st.integers(2, 6), st.integers(2, 6)))


def keys(rows: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in np.asarray(rows)}


@given(ROWS)
def test_a_negative_of_a_negative_is_the_image(rows: np.ndarray) -> None:
    assert np.array_equal(negative(negative(rows)), rows)
    assert np.array_equal(negative(rows).astype(int) + rows, np.full(rows.shape, 255))


@given(ROWS)
def test_an_edge_is_what_a_neighbour_is_brighter(rows: np.ndarray) -> None:
    """Pixel by pixel, with nothing beyond the border."""
    found, before = edge(rows), rows.copy()
    count, channels, height, width = rows.shape
    for number, channel, y, x in np.ndindex(count, channels, height, width):
        beside = [(y, x), (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        most = max(int(rows[number, channel, v, u]) for v, u in beside if 0 <= v < height and 0 <= u < width)
        assert found[number, channel, y, x] == most - int(rows[number, channel, y, x])
    assert np.array_equal(rows, before)


def test_every_image_is_in_one_domain_and_all_are_there() -> None:
    whole = open_data(DataConfig())
    shown = open_data(DataConfig(domains=("plain", "negative")))
    assert shown.labels is not None
    plain = keys(shown.images[shown.labels == 0])
    inverted = keys(negative(np.asarray(shown.images[shown.labels == 1])))
    assert not plain & inverted
    assert plain | inverted == keys(whole.images)
    assert 0.45 < len(plain) / len(keys(whole.images)) < 0.55
    assert (shown.label_names, shown.classes, len(shown)) == (("plain", "negative"), 2, len(whole))
    assert shown.fingerprint != whole.fingerprint
    assert shown.facts["domains"] == "plain, negative"


def test_opened_again_it_is_the_same_and_the_order_of_domains_counts() -> None:
    first, again = (open_data(DataConfig(domains=("plain", "edge"))) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert np.array_equal(first.images, again.images)
    assert open_data(DataConfig(domains=("edge", "plain"))).fingerprint != first.fingerprint


def test_equal_images_are_in_the_same_domain(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.save(tmp_path / "twice.npy", np.concatenate([rows, rows]))
    found = open_data(DataConfig(source=str(tmp_path / "twice.npy"), domains=("plain", "negative", "edge")))
    assert found.labels is not None
    assert np.array_equal(found.labels[:40], found.labels[40:])
    assert set(found.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("plain", "negativ"), "unknown domain 'negativ': did you mean 'negative'"),
        (("edge",), "data.domains has only 'edge': name two or more of plain, negative, edge"),
        (("edge", "plain", "edge"), "data.domains names one twice: edge, plain, edge"),
    ],
)
def test_domains_that_make_no_pairs_are_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(SteadyganError, match=said) as caught:
        open_data(DataConfig(domains=names))
    assert "\n" not in str(caught.value)


def test_all_domains_together_are_fine() -> None:
    check_domains(tuple(DOMAINS))
    check_domains(())
