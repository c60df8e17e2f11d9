"""The painter of a small run: pictures that are the run's own samples, moved as asked, and refusals in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.interpretability.directions import unit
from steadygan.interpretability.effects import Direction
from steadygan.report.pictures import to_uint8
from steadygan.session import subject
from steadygan.session.exploring import Easel, painter
from steadygan.session.subject import Subject
from steadygan.session.trained import load
from steadygan.studio.painting import Wanted

from .conftest import Lab


@pytest.fixture(scope="module")
def easel(finished: Path) -> Easel:
    """A run of one kind of digits, all found."""
    found = Easel(Subject(load(finished), judged=False))
    found.search()
    return found


@pytest.fixture(scope="module")
def conditional(digits: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Easel:
    lab = Lab(digits)
    path = tmp_path_factory.mktemp("conditional") / "run"
    lab.start(path, lab.config("infogan"))
    return Easel(Subject(load(path), judged=False))


def pixels(body: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(body)))


def test_a_picture_is_the_first_sample_of_its_seed(easel: Easel, finished: Path) -> None:
    for seed in (0, 7):
        own = to_uint8(load(finished).sample(1, seed=seed))[0, 0]
        assert np.array_equal(pixels(easel.picture(Wanted(seed))), own)


def test_what_was_found_is_described_and_every_direction_moves_the_latent(easel: Easel) -> None:
    about = easel.describe()
    assert about["state"] == ""
    methods = {one["method"] for one in about["directions"]}
    assert {"SeFa", "GANSpace", "boundary"} <= methods
    assert about["reals"] == len(easel.subject.data.train)  # type: ignore[union-attr]
    start = easel.latent(Wanted(3))[0]
    for one in about["directions"]:
        there = easel.latent(Wanted(3, moves={one["name"]: 2.0}))[0]
        back = easel.latent(Wanted(3, moves={one["name"]: -2.0}))[0]
        assert float((there - start).norm()) > 0.1
        assert torch.allclose((there + back) / 2, start, atol=1e-5)


def test_moves_are_in_standard_deviations_and_add_up(easel: Easel) -> None:
    size = easel.latent(Wanted())[0].shape[1]
    easel.found["own"] = (Direction("own", "test", unit(torch.arange(1.0, size + 1))), 0.5)
    try:
        moved = easel.latent(Wanted(1, moves={"own": 3.0}))[0] - easel.latent(Wanted(1))[0]
    finally:
        del easel.found["own"]
    assert float(moved.norm()) == pytest.approx(1.5, abs=1e-4)


def test_half_way_is_between_and_the_ends_are_the_samples(easel: Easel) -> None:
    first, last = easel.latent(Wanted(1))[0], easel.latent(Wanted(2))[0]
    assert torch.allclose(easel.latent(Wanted(1, 2, 0.0))[0], first, atol=1e-5)
    assert torch.allclose(easel.latent(Wanted(1, 2, 1.0))[0], last, atol=1e-5)
    middle = easel.latent(Wanted(1, 2, 0.5))[0]
    assert float((middle - first).norm()) == pytest.approx(float((middle - last).norm()), rel=0.5)
    assert float(middle.norm()) > 0.5 * float((first + last).norm() / 2)


def test_the_nearest_real_image_is_nearest_by_hand(easel: Easel) -> None:
    data = easel.subject.data
    assert data is not None
    image = to_uint8(easel.image(Wanted(5))[0]).double()
    distance = ((data.rows(data.train).double() - image) / 255).square().flatten(1).mean(1).sqrt()
    found = easel.nearest(Wanted(5))
    assert [one["distance"] for one in found] == sorted(one["distance"] for one in found)
    assert found[0]["distance"] == pytest.approx(float(distance.min()), abs=1e-3)
    row = found[0]["row"]
    assert np.array_equal(pixels(easel.real(row)), data.images[row, 0])
    held_out = int(data.held_out[0])
    with pytest.raises(SteadyganError, match=f"there is no real image {held_out} here"):
        easel.real(held_out)


def test_the_heat_map_is_of_the_pictures_size_and_follows_it(easel: Easel) -> None:
    first, second = (pixels(easel.heat(Wanted(seed))) for seed in (0, 1))
    assert first.shape == (*easel.subject.shape[1:], 3)
    assert not np.array_equal(first, second)


def test_numbers_make_the_sample_again(easel: Easel, finished: Path) -> None:
    wish = Wanted(4, 6, 0.3, moves={"GANSpace 1": 1.5})
    numbers = easel.numbers(wish)
    again = load(finished).decode(torch.tensor([numbers["latent"]]))
    assert np.array_equal(pixels(easel.picture(wish)), to_uint8(again)[0, 0])
    assert (numbers["seed"], numbers["to"], numbers["moves"]) == (4, 6, {"GANSpace 1": 1.5})


def test_codes_stay_set_on_the_way_to_another_sample(conditional: Easel) -> None:
    codes = conditional.describe()["codes"]
    name = next(name for name, code in codes.items() if code["choices"])
    code = conditional.subject.trained.codes[name]
    for way in (0.0, 0.4, 1.0):
        latent, _ = conditional.latent(Wanted(1, 2, way, codes={name: 2}))
        assert latent[0, code.place].argmax() == 2
    with pytest.raises(SteadyganError, match="is none of its choices"):
        conditional.latent(Wanted(codes={name: 1e5}))


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        (Wanted(label=1), "this run's generator takes no labels"),
        (Wanted(codes={"value1": 1}), "this run's latent has no codes"),
        (Wanted(moves={"nowhere": 1}), "unknown direction 'nowhere'"),
    ],
)
def test_what_the_run_does_not_have_is_refused(easel: Easel, wish: Wanted, fault: str) -> None:
    for job in (easel.picture, easel.heat, easel.nearest, easel.numbers):
        with pytest.raises(SteadyganError, match=fault):
            job(wish)


def test_before_reals_are_there_it_says_so_and_pictures_come(finished: Path) -> None:
    early = Easel(Subject(load(finished), judged=False))
    assert early.describe()["state"] == "Looking for directions"
    assert pixels(early.picture(Wanted())).shape == early.subject.shape[1:]
    assert pixels(early.heat(Wanted())).shape[:2] == early.subject.shape[1:]
    with pytest.raises(SteadyganError, match="are being gathered"):
        early.nearest(Wanted())


def test_without_the_data_samples_are_moved_and_the_rest_says_so(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise SteadyganError("the data are gone", "put them back")

    monkeypatch.setattr(subject, "open_data", gone)
    alone = Easel(Subject(load(finished), judged=False))
    alone.search()
    about = alone.describe()
    assert (about["state"], about["reals"]) == ("", 0)
    assert "the data are gone" in about["notes"][0]
    assert not np.array_equal(
        pixels(alone.picture(Wanted(moves={"SeFa 1": 3.0}))), pixels(alone.picture(Wanted(moves={"SeFa 1": -3.0})))
    )
    assert pixels(alone.heat(Wanted())).shape[:2] == alone.subject.shape[1:]
    for job in (lambda: alone.nearest(Wanted()), lambda: alone.real(0)):
        with pytest.raises(SteadyganError, match="not there|no real image"):
            job()


def test_a_search_that_is_closed_ends_and_a_closed_painter_still_paints(finished: Path) -> None:
    paints = painter(finished)
    paints.close()
    assert pixels(paints.picture(Wanted())).shape == tuple(paints.describe()["size"])


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyganError):
        painter(tmp_path)
