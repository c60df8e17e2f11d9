"""Feature networks: same in, same out; hashes that tell; files that cannot be used are answered in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.features import FEATURES, open_features, own_judge, read
from steadygan.evaluation.features.dino import VisionTransformer
from steadygan.evaluation.features.judge import Definition, Judge, JudgeNetwork, load_judge, pack, train_judge
from steadygan.evaluation.features.plain import LARGEST, Pixels, Random
from steadygan.evaluation.features.pretrained import FILE, Inception, load_inception, random_inception, weights
from steadygan.evaluation.features.reading import rebatched
from steadygan.evaluation.features.resizing import RESIZES
from steadygan.evaluation.frechet import frechet_distance, gaussian_statistics


def noise(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def smooth(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    coarse = noise(count, channels, 5, 5, seed=seed).float()
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").round().to(torch.uint8)


@pytest.fixture(scope="session")
def digits() -> DataSet:
    return open_data(DataConfig())


@pytest.fixture(scope="session")
def inception() -> Inception:
    return random_inception(smooth(8, 3, 40, 52))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 33))
def test_images_are_rebatched_in_order(sizes: list[int], size: int) -> None:
    images = torch.arange(sum(sizes))
    found = list(rebatched(torch.split(images, sizes), size))
    assert torch.cat(found).tolist() == images.tolist()
    assert all(len(part) == size for part in found[:-1])
    assert 0 < len(found[-1]) <= size


@pytest.mark.parametrize("name", ["pixels", "random", "judge"])
def test_chunks_change_nothing(name: str, digits: DataSet) -> None:
    network = open_features(name, digits) if name != "judge" else own_judge(digits, images=256)
    images = digits.rows(digits.train[:150])
    whole = read(network, [images])
    parts = read(network, torch.split(images, 7))
    assert torch.equal(whole.features, parts.features)
    assert whole.features.dtype == torch.float32
    assert len(whole.features) == 150
    backwards = read(network, [images.flip(0)]).features.flip(0)
    torch.testing.assert_close(backwards, whole.features, rtol=1e-4, atol=1e-5)


def test_pixels_are_the_pixels_and_large_ones_are_averaged_down() -> None:
    images = noise(3, 2, 5, 7)
    network = Pixels((2, 5, 7))
    assert torch.equal(network.read(images).features, images.flatten(1) / 255.0)
    assert network.resize == "none"
    large = Pixels((3, 90, 120))
    features = large.read(torch.full((2, 3, 90, 120), 51, dtype=torch.uint8)).features
    assert features.shape[1] <= LARGEST
    assert "mean" in large.resize
    torch.testing.assert_close(features, torch.full_like(features, 0.2))


def test_random_features_are_calibrated_and_seeded() -> None:
    images = noise(64, 3, 32, 32)
    one, other = Random((3, 32, 32), images), Random((3, 32, 32), images, seed=1)
    features = one.read(images).features
    assert float(features.std(0).mean()) > 0.02
    assert torch.equal(Random((3, 32, 32), images).read(images).features, features)
    assert one.hash == Random((3, 32, 32), images).hash
    assert len({one.hash, other.hash, Random((3, 32, 32), noise(64, 3, 32, 32, seed=1)).hash}) == 3
    assert Random((5, 2, 9), noise(4, 5, 2, 9)).read(noise(4, 5, 2, 9)).features.isfinite().all()


def test_the_judge_of_labelled_data_is_a_good_classifier_and_stands_in_the_cache(
    digits: DataSet, tmp_path: Path
) -> None:
    judge = own_judge(digits, images=8_000, cache=tmp_path)
    assert digits.labels is not None
    labels = torch.from_numpy(digits.labels[digits.held_out])
    assert judge.accuracy(digits.rows(digits.held_out), labels) > 0.93
    (stored,) = (tmp_path / "judges").iterdir()
    before = stored.stat().st_mtime_ns
    again = own_judge(digits, images=8_000, cache=tmp_path)
    assert (again.hash, again.name) == (judge.hash, "judge")
    assert stored.stat().st_mtime_ns == before
    stored.write_bytes(b"broken")
    assert own_judge(digits, images=8_000, cache=tmp_path).hash == judge.hash
    by_file = open_features(f"judge:{stored}", digits)
    images = digits.rows(digits.train[:20])
    assert by_file.hash == judge.hash
    assert torch.equal(by_file.read(images).features, judge.read(images).features)
    other = own_judge(digits, images=8_000, seed=1, cache=tmp_path)
    assert other.hash != judge.hash


@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 9, 20), (3, 64, 40)])
def test_a_judge_without_labels_tells_images_apart(shape: tuple[int, int, int]) -> None:
    images = smooth(64, *shape)
    definition = Definition(*shape, images=1_500)
    judge = train_judge(definition, lambda rows: (images[rows], None), len(images))
    assert judge.read(images).probabilities is None
    torch.manual_seed(0)
    untrained = Judge(definition, JudgeNetwork(definition))
    assert apart(judge, images) > 1.3 * apart(untrained, images)


def apart(judge: Judge, images: Tensor) -> float:
    """How far other images are, beside the same one a pixel further."""
    moved, still = judge.read(images.roll(1, 3)).features, judge.read(images).features
    distances = torch.cdist(moved, still)
    return float(distances.mean() / distances.diagonal().mean())


def test_training_a_judge_leaves_the_random_state_alone_and_tells_of_its_progress() -> None:
    images = noise(20, 1, 8, 8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    told: list[tuple[str, int, int]] = []
    train_judge(
        Definition(1, 8, 8, images=40), lambda rows: (images[rows], None), 20, progress=lambda *x: told.append(x)
    )
    assert torch.equal(torch.rand(3), expected)
    assert told[-1] == ("training the judge", 40, 40)


def test_a_judge_of_another_shape_says_so() -> None:
    definition = Definition(1, 8, 8, classes=2)
    judge = Judge(definition, JudgeNetwork(definition))
    with pytest.raises(SteadyganError, match="9x8 for a judge of 8x8"):
        judge.read(noise(2, 1, 8, 9))
    with pytest.raises(SteadyganError, match="3 channel"):
        judge.read(noise(2, 3, 8, 8))


def test_a_file_that_holds_no_judge_is_answered_in_one_line(tmp_path: Path, digits: DataSet) -> None:
    for name, content in {
        "text": b"hello",
        "empty": b"",
        "other": safetensors.torch.save({"a": torch.zeros(2)}),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SteadyganError, match="holds no judge"):
            load_judge(tmp_path / name)
    definition = Definition(1, 8, 8)
    body = pack(Judge(definition, JudgeNetwork(definition)))
    (tmp_path / "short").write_bytes(body[:-100])
    with pytest.raises(SteadyganError, match="holds no judge"):
        load_judge(tmp_path / "short")
    with pytest.raises(SteadyganError, match="no judge at"):
        open_features(f"judge:{tmp_path / 'nowhere'}", digits)


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ("inceptoin", "did you mean 'inception'"),
        ("pixels:file", "take no file"),
        ("random:file", "take no file"),
        ("inception:nowhere.pth", "no weights at nowhere.pth"),
        ("dino", "need a file of DINOv2 weights"),
        ("dino:nowhere.pth", "no weights at nowhere.pth"),
    ],
)
def test_features_that_cannot_be_had_are_answered_in_one_line(spec: str, answer: str, digits: DataSet) -> None:
    with pytest.raises(SteadyganError, match=answer) as caught:
        open_features(spec, digits)
    assert "\n" not in str(caught.value)


def test_inception_without_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.data.download.time.sleep", lambda seconds: None)
    with pytest.raises(SteadyganError, match="--features inception:FILE") as caught:
        load_inception(cache=tmp_path, url="http://127.0.0.1:9/none", progress=None)
    assert FILE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inception_has_the_published_shape(inception: Inception) -> None:
    network = inception.network
    # the published 23,834,568 of 1000 classes without the auxiliary head, and eight classes more
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568 + 8 * 2049
    reading = inception.read(smooth(2, 3, 20, 30, seed=3))
    assert reading.features.shape == (2, 2048)
    assert reading.probabilities is not None and reading.probabilities.shape == (2, 1008)
    torch.testing.assert_close(reading.probabilities.sum(1), torch.ones(2))
    assert float(inception.read(smooth(8, 3, 40, 52)).features.std(0).mean()) > 0.01


def test_inception_reads_grey_as_colour_and_refuses_other_channels(inception: Inception) -> None:
    grey = smooth(1, 1, 16, 16)
    expected = inception.read(grey.expand(-1, 3, -1, -1)).features
    assert torch.equal(inception.read(grey).features, expected)
    with pytest.raises(SteadyganError, match="not at 2 channels"):
        inception.read(noise(1, 2, 16, 16))


def test_inception_from_a_file_is_the_same_whatever_its_form(inception: Inception, tmp_path: Path) -> None:
    state = inception.network.state_dict()
    torch.save(state, tmp_path / "weights.pth")
    bare = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    safetensors.torch.save_file(bare, tmp_path / "weights.safetensors")
    found = [load_inception(str(tmp_path / name)) for name in ("weights.pth", "weights.safetensors")]
    assert {each.hash for each in found} == {inception.hash}
    images = smooth(1, 3, 20, 20)
    assert torch.equal(found[0].read(images).features, inception.read(images).features)
    assert load_inception(str(tmp_path / "weights.pth"), "clean").hash != inception.hash
    del state["Mixed_7c.branch_pool.bn.running_mean"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(SteadyganError, match="does not hold the FID's Inception weights"):
        load_inception(str(tmp_path / "less.pth"))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("touched"),)  # type: ignore[return-value]


def test_a_file_of_weights_never_executes_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, "evil.pth")
    with pytest.raises(SteadyganError, match="broken, or holds more than tensors"):
        weights(Path("evil.pth"))
    assert not Path("touched").exists()
    torch.save({"weight": 3}, "number.pth")
    with pytest.raises(SteadyganError, match="a state dict"):
        weights(Path("number.pth"))
    Path("text.pth").write_text("hello")
    with pytest.raises(SteadyganError):
        weights(Path("text.pth"))


def test_resizes_agree_with_their_definitions() -> None:
    images = smooth(2, 3, 20, 31)
    side = 45
    first = RESIZES["tensorflow"](images, side)
    row, column = 17, 30
    y, x = row * 20 / side, column * 31 / side
    top, left = int(y), int(x)
    corner = images[:, :, top : top + 2, left : left + 2].double()
    expected = (
        corner[:, :, 0, 0] * (1 - y % 1) * (1 - x % 1)
        + corner[:, :, 0, 1] * (1 - y % 1) * (x % 1)
        + corner[:, :, 1, 0] * (y % 1) * (1 - x % 1)
        + corner[:, :, 1, 1] * (y % 1) * (x % 1)
    )
    torch.testing.assert_close(first[:, :, row, column].double(), expected, rtol=1e-4, atol=1e-3)
    clean = RESIZES["clean"](images, side)
    plane = Image.fromarray(images[1, 2].numpy().astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    assert torch.equal(clean[1, 2], torch.from_numpy(np.asarray(plane).copy()).clamp(0, 255))
    for resize in RESIZES.values():
        flat = resize(torch.full((1, 1, 9, 9), 77, dtype=torch.uint8), side)
        torch.testing.assert_close(flat, torch.full_like(flat, 77.0))


def test_dino_reads_its_width_and_depth_from_the_weights(tmp_path: Path, digits: DataSet) -> None:
    torch.manual_seed(0)
    network = VisionTransformer(width=128, depth=2, places=37 * 37)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    torch.save({**network.state_dict(), "mask_token": torch.zeros(1, 128)}, tmp_path / "dino.pth")
    found = open_features(f"dino:{tmp_path / 'dino.pth'}", digits)
    features = found.read(smooth(3, 1, 8, 8)).features
    assert features.shape == (3, 128)
    assert float(features.std(0).mean()) > 0
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(SteadyganError, match="DINOv2 weights"):
        open_features(f"dino:{tmp_path / 'other.pth'}", digits)


def test_every_feature_network_of_the_table_can_be_opened_or_says_why(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadygan.evaluation.features.pretrained.fetch", _no_network)
    monkeypatch.setattr("steadygan.evaluation.features.judge.IMAGES", 256)
    for name in FEATURES:
        if name.startswith(("inception", "dino")):
            with pytest.raises(SteadyganError, match="--features"):
                open_features(name, digits)
        else:
            network = open_features(name, digits)
            assert network.name == name
            assert network.read(digits.rows(digits.train[:4])).features.shape[0] == 4


def _no_network(*args: object, **more: object) -> Path:
    raise SteadyganError("cannot download it", "check the network", code=1)


def test_the_whole_path_agrees_with_torch_fidelity(tmp_path: Path) -> None:
    """Identical random weights, images to distance."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", exc_type=ImportError)
    images = smooth(24, 3, 40, 52)
    ours = random_inception(images)
    torch.save(ours.network.state_dict(), tmp_path / "weights.pth")
    theirs = module.FeatureExtractorInceptionV3(
        "test", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(tmp_path / "weights.pth")
    )
    with torch.no_grad():
        features, logits = theirs(images)
    reading = ours.read(images)
    torch.testing.assert_close(reading.features, features, rtol=1e-3, atol=1e-4 * float(features.abs().max()))
    torch.testing.assert_close(reading.probabilities, logits.softmax(1), rtol=1e-3, atol=1e-6)
    expected = frechet_distance(*gaussian_statistics(features[:12]), *gaussian_statistics(features[12:]))
    found = frechet_distance(*gaussian_statistics(reading.features[:12]), *gaussian_statistics(reading.features[12:]))
    assert found == pytest.approx(expected, rel=1e-5)


def test_clean_resizing_agrees_with_clean_fid() -> None:
    resize = pytest.importorskip("cleanfid.resize", exc_type=ImportError).build_resizer("clean")
    images = smooth(4, 3, 40, 52)
    theirs = torch.stack([torch.from_numpy(resize(image.permute(1, 2, 0).numpy())) for image in images])
    assert torch.equal(RESIZES["clean"](images, 299), theirs.permute(0, 3, 1, 2))
