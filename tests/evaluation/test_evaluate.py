"""From images to values: floors, seeds, caches, and everything that cannot be measured."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from steadygan import api
from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.evaluate import evaluate, look
from steadygan.evaluation.features import open_features
from steadygan.evaluation.features.reading import Reading
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics
from steadygan.evaluation.metrics_table import METRICS, choose, column
from steadygan.evaluation.protocol import Value
from steadygan.evaluation.reference import Reference, customary_count
from steadygan.session.evaluating import Fakes, Milestones, fakes_of_files, measure, reals

SMALL = (
    "batch=16", "sample_count=4", "sample_every=128", "checkpoint_every=128", "threads=1",
    "generator.network.hidden=[16]", "discriminator.network.hidden=[16]",
)  # fmt: skip


@pytest.fixture(scope="session")
def digits() -> DataSet:
    return open_data(DataConfig())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the digits; not to be changed."""
    path = tmp_path_factory.mktemp("evaluated") / "run"
    api.train("digits", recipe="mlp", images=256, out=path, set=SMALL)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def array(path: Path, images: Tensor) -> Path:
    np.savez(path, images=images.permute(0, 2, 3, 1).numpy())
    return path


def folder(path: Path, images: Tensor, ending: str = "png") -> Path:
    path.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(path / f"{number:04}.{ending}")
    return path


def test_reals_in_the_place_of_fakes_score_the_floor(digits: DataSet) -> None:
    """A perfect generator: the very rows that the floor is measured with."""
    reference = Reference(digits, open_features("pixels", digits), 300)
    assert reference.floor_count == 300
    others = digits.rows(reference._order[300:600])
    values = evaluate(reference, lambda seed: [others], tuple(METRICS_OF_FEATURES))
    assert values
    for value in values:
        assert value.floor == pytest.approx(value.value, abs=1e-12), value.metric
        assert math.isfinite(value.value)


METRICS_OF_FEATURES = [name for name, metric in METRICS.items() if metric.needs == {"features"}]


def test_the_floor_stands_between_the_value_of_noise_and_nothing(digits: DataSet) -> None:
    reference = Reference(digits, open_features("pixels", digits), 300)
    noise = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8)
    found = {
        value.metric: value
        for value in evaluate(reference, lambda seed: [noise], ("fid", "kid", "swd", "ndb", "spectrum", "prdc"))
    }
    for name in ("fid", "kid", "swd", "ndb", "spectrum"):
        value = found[name]
        assert value.floor is not None and value.value > 5 * abs(value.floor), name
    assert found["precision"].value < 0.1 < (found["precision"].floor or 0)
    assert found["coverage"].value < 0.3 < (found["coverage"].floor or 0)


def test_copies_of_training_images_are_found(digits: DataSet) -> None:
    reference = Reference(digits, open_features("pixels", digits), 400)
    copies = digits.rows(digits.train[:400])
    found = {value.metric: value for value in evaluate(reference, lambda seed: [copies], ("memorisation",))}
    assert found["memorised"].value > 0.04
    assert found["copying"].value < -3
    assert found["memorised"].floor == 0.0
    twice = copies[:200].repeat(2, 1, 1, 1)
    (value,) = evaluate(reference, lambda seed: [twice], ("duplicates",))
    assert value.value > 0.99 > 0.2 > (value.floor or 0)


def test_a_value_is_that_of_its_function(digits: DataSet) -> None:
    network = open_features("pixels", digits)
    reference = Reference(digits, network, 200)
    fakes = digits.rows(digits.held_out)
    (value,) = evaluate(reference, lambda seed: [fakes[:30], fakes[30:]], ("fid",))
    expected = frechet_distance(
        *gaussian_statistics(digits.rows(reference._order[:200]).flatten(1) / 255.0),
        *gaussian_statistics(fakes.flatten(1) / 255.0),
    )
    assert value.value == pytest.approx(expected, rel=1e-9)
    assert (value.protocol.real, value.protocol.fake) == (200, len(fakes))


def test_several_seeds_give_mean_and_spread(digits: DataSet) -> None:
    reference = Reference(digits, open_features("pixels", digits), 100)

    def draw(seed: int) -> list[Tensor]:
        return [digits.rows(digits.train[seed * 100 : seed * 100 + 100])]

    single = [evaluate(reference, draw, ("kid",), seeds=(seed,))[0] for seed in (3, 4, 5)]
    (together,) = evaluate(reference, draw, ("kid",), seeds=(3, 4, 5))
    assert together.value == pytest.approx(np.mean([one.value for one in single]))
    assert together.spread == pytest.approx(np.std([one.value for one in single], ddof=1))
    assert together.error == pytest.approx(np.mean([one.error for one in single if one.error is not None]))
    assert single[0].spread is None
    assert together.protocol.seeds == (3, 4, 5)


class Counting:
    """A feature network that counts how many images it was shown."""

    name, hash, resize, rounding = "counting", "c0", "none", "none"

    def __init__(self) -> None:
        self.seen = 0

    def read(self, images: Tensor) -> Reading:
        self.seen += len(images)
        return Reading(images.flatten(1).float())


def test_one_pass_serves_all_metrics_and_reals_are_read_once(digits: DataSet, tmp_path: Path) -> None:
    network = Counting()
    fakes = digits.rows(digits.train[:50])
    reference = Reference(digits, network, 50, cache=tmp_path)
    evaluate(reference, lambda seed: [fakes], ("fid", "kid", "prdc", "swd"), seeds=(0, 1))
    assert network.seen == 50 + 50 + 2 * 50
    evaluate(Reference(digits, network, 50, cache=tmp_path), lambda seed: [fakes], ("fid", "kid"))
    assert network.seen == 4 * 50 + 50
    for stored in (tmp_path / "features").iterdir():
        stored.write_bytes(stored.read_bytes()[:-8])
    evaluate(Reference(digits, network, 50, cache=tmp_path), lambda seed: [fakes], ("fid",))
    assert network.seen == 5 * 50 + 3 * 50


def test_where_reals_are_few_the_floor_says_at_how_many_it_was_measured(digits: DataSet) -> None:
    network = open_features("pixels", digits)
    most = len(digits.train)
    reference = Reference(digits, network, most)
    assert (len(reference.real.features), reference.floor_count) == (most, most // 2)
    (value,) = evaluate(reference, lambda seed: [digits.rows(digits.train)], ("kid",))
    assert value.protocol.floor_count == most // 2
    assert value.floor is not None and abs(value.floor) < 0.05
    assert customary_count(digits) == most // 2


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_fakes_are_refused(digits: DataSet, count: int) -> None:
    with pytest.raises(SteadyganError, match="too few|no images"):
        look(open_features("pixels", digits), [digits.rows(digits.train[:count])] if count else [])


def test_every_metric_of_the_table_measures_and_names_its_values(digits: DataSet) -> None:
    network = open_features("judge", digits)
    reference = Reference(digits, network, 300)
    fakes = digits.rows(digits.train[-300:])
    values = evaluate(reference, lambda seed: [fakes], choose("all"))
    assert [value.metric for value in values] == [name for metric in METRICS.values() for name in metric.columns]
    for value in values:
        assert math.isfinite(value.value)
        assert value.floor is not None
        assert column(value.metric) is not None
    assert column("nothing") is None


@pytest.mark.parametrize(("names", "expected"), [("fid, KID ,fid", ("fid", "kid")), (["prdc"], ("prdc",))])
def test_metrics_are_chosen_by_name(names: str | list[str], expected: tuple[str, ...]) -> None:
    assert choose(names) == expected


@pytest.mark.parametrize(("names", "answer"), [("fdi", "did you mean 'fid'"), ("", "no metric"), (" , ", "no metric")])
def test_metrics_that_are_not_there_are_refused(names: str, answer: str) -> None:
    with pytest.raises(SteadyganError, match=answer):
        choose(names)


def test_a_run_is_measured_on_its_own_data_and_keeps_the_values(run: Path) -> None:
    found = api.evaluate(run, metrics="fid,prdc", features="pixels", count=200, seeds=2)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [Value.parse(line) for line in lines] == list(found.values)
    assert {line["images_seen"] for line in lines} == {256}
    protocol = found["fid"].protocol
    assert (protocol.averaged, protocol.fake, protocol.seeds, protocol.size) == (True, 200, (0, 1), "8x8x1")
    assert found["fid"].spread is not None
    assert api.evaluate(run, metrics="fid", features="pixels", count=200, seeds=2)["fid"] == found["fid"]
    with pytest.raises(KeyError):
        found["kid"]


def test_a_run_in_training_is_measured_but_not_written_to(run: Path) -> None:
    from steadygan.runtime.folder import RunFolder

    with RunFolder(run):
        found = api.evaluate(run, metrics="fid", features="pixels", count=50, seeds=1)
    assert any("not written to metrics.jsonl" in notice for notice in found.notices)
    assert (run / "metrics.jsonl").read_text() == ""


def test_a_run_its_array_and_its_folder_measure_the_same(run: Path, tmp_path: Path) -> None:
    from steadygan.report.pictures import to_uint8

    images = to_uint8(api.load(run).sample(60, seed=0))
    values = [
        api.evaluate(what, "digits", metrics="fid,kid", features="pixels", count=60, seeds=1)
        for what in (run, array(tmp_path / "samples.npz", images), folder(tmp_path / "folder", images))
    ]
    for name in ("fid", "kid"):
        first, *rest = (found[name].value for found in values)
        assert rest == pytest.approx([first, first], rel=1e-6)
    assert values[1]["fid"].protocol.averaged is None


def test_seeds_of_a_set_draw_parts_and_all_of_it_is_measured_once(digits: DataSet, tmp_path: Path) -> None:
    path = array(tmp_path / "samples.npz", digits.rows(digits.train[:120]))
    found = api.evaluate(path, "digits", metrics="kid", features="pixels", count=60, seeds=3)
    assert found["kid"].spread is not None and found["kid"].spread > 0
    found = api.evaluate(path, "digits", metrics="kid", features="pixels", seeds=3)
    assert found["kid"].spread is None
    assert found["kid"].protocol.fake == 120
    assert any("one measurement" in notice for notice in found.notices)


def test_reals_are_brought_to_the_fakes_size(digits: DataSet, tmp_path: Path) -> None:
    fakes = fakes_of_files(str(array(tmp_path / "wide.npz", torch.zeros(12, 3, 9, 14, dtype=torch.uint8))))
    assert reals(DataConfig(), fakes).shape == (3, 9, 14)
    odd = fakes_of_files(str(array(tmp_path / "odd.npz", torch.zeros(12, 5, 9, 14, dtype=torch.uint8))))
    with pytest.raises(SteadyganError, match="channels"):
        reals(DataConfig(), odd)


def test_fakes_below_the_smallest_usual_size_keep_their_size(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (12, 1, 5, 6), dtype=torch.uint8)
    assert fakes_of_files(str(folder(tmp_path / "tiny", images))).shape == (1, 5, 6)


def test_jpeg_against_png_is_warned_about(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    png, jpeg = folder(tmp_path / "png", images), folder(tmp_path / "jpeg", images, "jpg")
    for fakes, real, warned in ((jpeg, png, True), (png, jpeg, True), (png, png, False), (jpeg, jpeg, False)):
        found = api.evaluate(fakes, str(real), metrics="kid", features="pixels", count=20, seeds=1)
        assert any("JPEG" in notice for notice in found.notices) == warned


def test_few_images_are_told_of(digits: DataSet, tmp_path: Path) -> None:
    path = array(tmp_path / "samples.npz", digits.rows(digits.train[:40]))
    notices = " ".join(api.evaluate(path, "digits", metrics="fid", features="pixels").notices)
    assert "40 images are few" in notices
    assert "without full rank" in notices


def _several_sizes(path: Path) -> Path:
    made = folder(path / "sizes", torch.zeros(12, 1, 8, 8, dtype=torch.uint8))
    Image.new("L", (9, 8)).save(made / "other.png")
    return made


def _empty(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def _foreign(path: Path) -> Path:
    made = _empty(path)
    (made / "notes.txt").write_text("hello")
    return made


def _out_of_range(path: Path) -> Path:
    np.savez(path / "range.npz", images=np.full((12, 8, 8, 1), 7.5, np.float32))
    return path / "range.npz"


def _not_a_number(path: Path) -> Path:
    images = np.zeros((12, 8, 8, 1), np.float32)
    images[3, 2, 1] = np.nan
    np.savez(path / "nan.npz", images=images)
    return path / "nan.npz"


def _few(path: Path) -> Path:
    return array(path / "few.npz", torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


BAD = {
    _several_sizes: "several sizes",
    _empty: "is empty",
    _foreign: "no images|holds no",
    _out_of_range: "range|7.5",
    _not_a_number: "NaN|finite",
    _few: "too few to measure",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_fakes_that_cannot_be_measured_are_answered_in_one_line(make: Any, tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match=BAD[make]) as caught:
        api.evaluate(make(tmp_path), "digits", features="pixels")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"count": 3}, "too few"),
        ({"count": 61}, "lower --count"),
        ({"seeds": 0}, "0 seeds"),
        ({"metrics": "fdi"}, "did you mean 'fid'"),
        ({"metrics": "fid,is"}, "is cannot be measured: the features 'pixels' know no classes"),
        ({"features": "pixel"}, "did you mean 'pixels'"),
        ({"against": None}, "is no run"),
        ({"against": "nowhere/at/all"}, "does not exist"),
        ({"set": ["batch=3"]}, "no data setting"),
        ({"device": "cdua"}, "device"),
    ],
)
def test_requests_that_cannot_be_met_are_answered_in_one_line(
    given: dict[str, Any], answer: str, tmp_path: Path
) -> None:
    path = array(tmp_path / "samples.npz", torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8))
    with pytest.raises(SteadyganError, match=answer) as caught:
        api.evaluate(path, **{"against": "digits", "features": "pixels", **given})
    assert "\n" not in str(caught.value)


def test_memorisation_without_held_out_reals_says_so(tmp_path: Path) -> None:
    path = array(tmp_path / "samples.npz", torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8))
    with pytest.raises(SteadyganError, match=r"raise data\.held_out"):
        api.evaluate(path, "digits", metrics="memorisation", features="pixels", set=["data.held_out=0"])


def test_what_a_metric_cannot_have_is_said_before_any_fake_is_made(digits: DataSet) -> None:
    def draw(seed: int) -> list[Tensor]:
        raise AssertionError("a fake was drawn")

    reference = Reference(digits, open_features("pixels", digits), 50)
    with pytest.raises(SteadyganError, match="know no classes"):
        evaluate(reference, draw, ("fid", "classes"))


def test_too_few_reals_are_named(digits: DataSet, tmp_path: Path) -> None:
    path = array(tmp_path / "samples.npz", digits.rows(digits.train[:40]))
    few = folder(tmp_path / "few", digits.rows(digits.train[:12]))
    with pytest.raises(SteadyganError, match="few has .* too few to measure against"):
        api.evaluate(path, str(few), features="pixels")


def test_runs_are_compared(trained: Path, run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    for path in (run, other):
        api.evaluate(path, metrics="kid", features="pixels", count=100, seeds=1)
    api.evaluate(run, metrics="fid", features="pixels", count=100, seeds=1)
    api.evaluate(other, metrics="fid", features="pixels", count=90, seeds=1)
    found = api.compare([run, other])
    assert [one.images_seen for one in found.runs] == [256, 256]
    assert all(set(one.losses) == {"discriminator/loss", "generator/loss"} for one in found.runs)
    rows = {row.metric: row for row in found.rows}
    assert rows["kid"].comparable
    assert rows["fid"].differences == ("real is 100 and 90", "fake is 100 and 90")
    width, height = found.figure.size
    assert width > height > 100
    left, right = (
        found.figure.crop((12, 20, width // 2, height)),
        found.figure.crop((width // 2 + 6, 20, width, height)),
    )
    assert len(left.convert("L").getcolors() or ()) > 50
    assert left.getpixel((30, 30)) == right.getpixel((30, 30))


def test_one_run_is_no_comparison(trained: Path) -> None:
    with pytest.raises(SteadyganError, match="two or more"):
        api.compare([trained])


def test_milestones_measure_the_same_at_the_same_place(digits: DataSet, trained: Path) -> None:
    run = api.load(trained)

    def sample(count: int, seed: int) -> Iterator[Tensor]:
        return run.samples(count, seed=seed)

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    lines = [Milestones(run.config, digits, ("fid", "kid"), "judge", 200, sample).lines(128) for _ in range(2)]
    assert torch.equal(torch.rand(2), expected), "the round's random state was touched"
    assert lines[0] == lines[1]
    assert [line["metric"] for line in lines[0]] == ["fid", "kid"]
    assert all(line["images_seen"] == 128 for line in lines[0])
    assert Value.parse(lines[0][0]).protocol.averaged


def test_any_source_of_fakes_can_be_measured(digits: DataSet) -> None:
    fakes = Fakes("x", digits.shape, lambda seed, count: [digits.rows(digits.train[:count])])
    found = measure(fakes, digits, metrics="kid", features="pixels", count=50, seeds=1, device=torch.device("cpu"))
    assert found["kid"].protocol.averaged is None
