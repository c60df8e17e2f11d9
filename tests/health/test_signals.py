"""Each signal provoked, and its absence on healthy material: held-out real images in the place of fakes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.health.checkup import Baseline, CheckUp, Patient, examine
from steadygan.health.signal_features import COMPONENTS, Space, reduced
from steadygan.health.signal_weights import matrices, spectral, top_singular_value

COUNT = 256


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """All 1,797 digits in one fixed random order."""
    images = torch.from_numpy(open_data(DataConfig(source="digits")).images.copy()).float() / 127.5 - 1
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(4))]


@pytest.fixture(scope="module")
def healthy(digits: Tensor) -> Patient:
    """Fakes that are unseen real images, and a discriminator that tells brighter images from darker ones."""
    return Patient(
        players={},
        make=lambda kind, count: digits[1500 : 1500 + count],
        judge=lambda images, label: images.mean((1, 2, 3)),
        real=digits[:256],
        held_out=digits[256:400],
        reference=digits[400:1500],
    )


@pytest.fixture(scope="module")
def compared(healthy: Patient) -> Baseline:
    return Baseline.of(healthy.real, healthy.held_out, healthy.reference)


def told(
    healthy: Patient, compared: Baseline, fakes: Tensor, memory: dict[str, Tensor] | None = None
) -> dict[str, float]:
    one = dataclasses.replace(healthy, make=lambda kind, count: fakes[:count])
    return examine(one, compared, memory or {}, min(COUNT, len(fakes)))[0]


@pytest.fixture(scope="module")
def well(healthy: Patient, compared: Baseline) -> dict[str, float]:
    return examine(healthy, compared, {}, COUNT)[0]


@pytest.fixture(scope="module")
def unseen(digits: Tensor) -> Tensor:
    return digits[1500:1756]


def test_on_unseen_reals_every_signal_is_within_its_floor(well: dict[str, float], compared: Baseline) -> None:
    facts = compared.facts
    assert abs(well["distance"] - facts["distance_floor"]) < 4 * facts["distance_floor_spread"]
    assert facts["distance_floor_spread"] < 0.01
    assert abs(well["diversity"] - 1) < max(4 * facts["diversity_floor"], 0.03)
    assert well["raw_diversity"] == well["diversity"]
    assert well["empty_clusters"] == 0.0
    assert well["uneven_clusters"] <= 0.2
    assert "overfitting" not in well
    assert abs(well["held_out_margin"]) < 0.4
    assert well["saturation"] < 2 * facts["saturation_floor"] + 0.01
    assert abs(well["checkerboard"]) < 2 * facts["checkerboard_floor"] + 0.5
    assert well["bands"] < 2 * facts["bands_floor"] + 0.2
    assert abs(well["copies_z"]) < 3.5
    assert well["duplicates"] < 0.01 and well["constant_images"] == 0.0 and well["broken"] == 0.0


@pytest.mark.parametrize(("kinds", "most"), [(1, 0.01), (3, 0.8), (8, 0.93)])
def test_collapse(
    healthy: Patient, compared: Baseline, unseen: Tensor, well: dict[str, float], kinds: int, most: float
) -> None:
    sick = told(healthy, compared, unseen[:kinds].repeat(COUNT // kinds, 1, 1, 1))
    assert sick["diversity"] < most
    assert sick["empty_clusters"] >= 1 - kinds / 20 - 0.01
    assert sick["uneven_clusters"] > 0.5
    assert sick["distance"] > 0.02 > well["distance"]


def test_dropped_classes(healthy: Patient, compared: Baseline, digits: Tensor, well: dict[str, float]) -> None:
    bins = compared.bins
    assert bins is not None and len(bins.counts) == 20
    place = bins.assign(compared.space(digits[1500:]))
    largest = bins.counts.argsort(descending=True)[:3]
    sick = told(healthy, compared, digits[1500:][~torch.isin(place, largest)])
    assert sick["empty_clusters"] == pytest.approx(0.15, abs=0.01)
    assert sick["uneven_clusters"] >= 0.15 > well["uneven_clusters"]
    assert sick["distance"] > compared.facts["distance_floor"] + 3 * compared.facts["distance_floor_spread"]


def test_distance_grows_with_damage_and_is_one_for_a_blank(
    healthy: Patient, compared: Baseline, unseen: Tensor
) -> None:
    noise = torch.randn(unseen.shape, generator=torch.Generator().manual_seed(1))
    noisy = [told(healthy, compared, (unseen + s * noise).clamp(-1, 1))["distance"] for s in (0.0, 0.1, 0.3, 1.0)]
    assert noisy == sorted(noisy) and noisy[2] > 5 * abs(noisy[0])
    blurred = nn.functional.avg_pool2d(unseen, 3, stride=1, padding=1, count_include_pad=False)
    assert told(healthy, compared, blurred)["distance"] > 0.03
    assert told(healthy, compared, (unseen + 0.2).clamp(-1, 1))["distance"] > 0.01
    assert told(healthy, compared, torch.zeros_like(unseen))["distance"] == pytest.approx(1.0, abs=0.01)


def test_displacement(healthy: Patient, compared: Baseline, unseen: Tensor) -> None:
    memory = {"features": compared.space(unseen)}
    still = told(healthy, compared, unseen, memory)["displacement"]
    little = told(healthy, compared, unseen * 0.95, memory)["displacement"]
    other = told(healthy, compared, unseen.flip(0), memory)["displacement"]
    assert still == 0.0 < little < 0.2
    assert other == pytest.approx(1.0, abs=0.1)
    assert "displacement" not in told(healthy, compared, unseen[:100], memory)


def judged(healthy: Patient, compared: Baseline, train: float, held_out: float, fake: float) -> dict[str, float]:
    """With logits by set, and a spread of 1."""
    means = [(healthy.real, train), (healthy.held_out, held_out)]

    def judge(images: Tensor, label: Tensor | None) -> Tensor:
        own = next((m for rows, m in means if bool((rows[:, None] == images[None, :1]).flatten(2).all(2).any())), fake)
        return own + torch.linspace(-1.7, 1.7, len(images)) + 0 * images.mean((1, 2, 3))

    return examine(dataclasses.replace(healthy, judge=judge), compared, {}, COUNT)[0]


def test_overfitting_is_the_part_of_the_lead_that_held_out_images_do_not_share(
    healthy: Patient, compared: Baseline
) -> None:
    by_heart = judged(healthy, compared, 4.0, -4.0, -4.0)
    assert by_heart["overfitting"] == pytest.approx(1.0, abs=1e-6)
    assert by_heart["held_out_margin"] == pytest.approx(0.0, abs=1e-6)
    half = judged(healthy, compared, 4.0, 0.0, -4.0)
    assert half["overfitting"] == pytest.approx(0.5, abs=1e-6)
    assert 0 < half["overfitting_error"] < 0.1
    none = judged(healthy, compared, 4.0, 4.0, -4.0)
    assert none["overfitting"] == 0.0
    assert none["held_out_margin"] == pytest.approx(8.0, rel=0.1)
    assert "overfitting" not in judged(healthy, compared, 0.0, 0.0, 0.0)


def test_overfitting_error_is_the_spread_over_draws() -> None:
    source, values, errors = torch.Generator().manual_seed(2), [], []
    from steadygan.health.signals import _overfitting

    for _ in range(300):
        checkup = CheckUp.__new__(CheckUp)
        checkup.__dict__ |= {
            "real_logits": torch.randn(256, generator=source).double() + 2,
            "held_out_logits": torch.randn(100, generator=source).double() + 1,
            "fake_logits": torch.randn(256, generator=source).double() - 1,
        }
        found = _overfitting(checkup)
        assert found is not None
        values.append(found[0])
        errors.append(found[1])
    spread = float(torch.tensor(values).std())
    assert sum(errors) / len(errors) == pytest.approx(spread, rel=0.15)
    assert sum(values) / len(values) == pytest.approx(1 / 3, abs=0.02)


def test_slopes_of_the_discriminator(healthy: Patient, compared: Baseline) -> None:
    steep = dataclasses.replace(healthy, judge=lambda images, label: 3.0 * images.flatten(1).sum(1))
    found, _ = examine(steep, compared, {}, COUNT)
    assert found["gradient_real"] == pytest.approx(24.0)  # 3 times the root of 64 pixels
    assert found["gradient_fake"] == pytest.approx(24.0)
    flat = dataclasses.replace(healthy, judge=lambda images, label: torch.zeros(len(images)))
    found, _ = examine(flat, compared, {}, COUNT)
    assert found["gradient_real"] == found["gradient_fake"] == 0.0
    assert "held_out_margin" not in found


def test_saturation(healthy: Patient, compared: Baseline, unseen: Tensor, well: dict[str, float]) -> None:
    pushed = told(healthy, compared, (unseen * 50).tanh())
    assert pushed["saturation"] > 0.3 > 10 * well["saturation"]
    assert told(healthy, compared, torch.full_like(unseen, -1.0))["saturation"] > 0.3
    by_hand = [float((unseen > 0.99).double().mean()), float((unseen < -0.99).double().mean())]
    real = torch.cat([healthy.real, healthy.reference])
    gaps = [by_hand[0] - float((real > 0.99).double().mean()), by_hand[1] - float((real < -0.99).double().mean())]
    total = 0.5 * (abs(gaps[0]) + abs(gaps[1]) + abs(gaps[0] + gaps[1]))
    assert well["saturation"] == pytest.approx(total, abs=1e-9)


def test_checkerboard_and_fine_bands(
    healthy: Patient, compared: Baseline, unseen: Tensor, well: dict[str, float]
) -> None:
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    grid = ((rows + columns) % 2 * 2 - 1).float()
    sick = told(healthy, compared, (unseen + 0.3 * grid).clamp(-1, 1))
    assert sick["checkerboard"] > well["checkerboard"] + 6
    blurred = nn.functional.avg_pool2d(unseen, 3, stride=1, padding=1, count_include_pad=False)
    assert told(healthy, compared, blurred)["bands"] > well["bands"] + 3


def test_copies(healthy: Patient, compared: Baseline, unseen: Tensor, well: dict[str, float]) -> None:
    noise = 0.01 * torch.randn(unseen.shape, generator=torch.Generator().manual_seed(1))
    copied = told(healthy, compared, healthy.reference[:COUNT] + noise)
    assert copied["copies"] == pytest.approx(1.0)
    assert copied["copies_z"] > 3.5 > well["copies_z"]
    assert told(healthy, compared, healthy.held_out + noise[:144])["copies"] == pytest.approx(-1.0)


def test_duplicates_and_constant_images(healthy: Patient) -> None:
    flat = torch.full((64, 1, 8, 8), 0.5) * torch.linspace(-1, 1, 64)[:, None, None, None]
    bad = torch.cat([healthy.reference[:128], healthy.reference[:128], flat])
    facts = Baseline.of(healthy.real, healthy.held_out, bad).facts
    assert facts["duplicates"] == pytest.approx(256 / (256 + 320), abs=0.01)
    assert facts["constant_images"] == pytest.approx(64 / (256 + 320))


def test_a_broken_sample_is_counted(healthy: Patient, compared: Baseline, unseen: Tensor) -> None:
    sick = unseen.clone()
    sick[:64, 0, 0, 0] = math.nan
    found = told(healthy, compared, sick)
    assert found["broken"] == 0.25
    assert not {"distance", "diversity", "saturation", "checkerboard", "copies", "gradient_fake"} & set(found)


class Halves(nn.Module):
    """Images of two maps: one rectified to nothing, one alive."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.rectify = nn.ReLU()
        self.last = nn.Conv2d(4, 1, 1)
        with torch.no_grad():
            self.first.bias.copy_(torch.tensor([-9.0, 9.0, 9.0, 9.0]))  # type: ignore[union-attr]

    def forward(self, latent: Tensor) -> Tensor:
        made: Tensor = self.last(self.rectify(self.first(latent.view(-1, 1, 8, 8)))).tanh()
        return made


def test_dead_feature_maps(healthy: Patient, compared: Baseline) -> None:
    network = Halves()
    latents = torch.randn(COUNT, 64)
    one = dataclasses.replace(
        healthy, players={"generator": network}, make=torch.no_grad()(lambda kind, count: network(latents[:count]))
    )
    assert examine(one, compared, {}, 64)[0]["dead"] == 0.25
    with torch.no_grad():
        network.first.bias.fill_(9.0)  # type: ignore[union-attr]
    assert examine(one, compared, {}, 64)[0]["dead"] == 0.0


@pytest.mark.parametrize("shape", [(64, 64), (256, 2304), (512, 100), (1, 300), (3, 2), (32, 1)])
def test_the_top_singular_value_of_random_matrices(shape: tuple[int, int]) -> None:
    for seed in range(5):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        exact = float(torch.linalg.matrix_norm(matrix.double(), 2))
        assert 0.95 * exact <= top_singular_value(matrix) <= exact * (1 + 1e-5)
    assert top_singular_value(torch.zeros(shape)) == 0.0


def test_spectral_follows_the_weights_as_they_are_used() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 5, 4), nn.Linear(4, 4))
    exact = [plain[0].weight.flatten(1), plain[2].weight.transpose(0, 1).flatten(1), plain[3].weight]
    largest = max(float(torch.linalg.matrix_norm(weight.detach(), 2)) for weight in exact)  # type: ignore[operator, arg-type, union-attr]
    found = spectral({"generator": plain}, "generator")
    assert found == pytest.approx(largest, rel=0.05)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.mul_(10)
    assert spectral({"generator": plain}, "generator") == pytest.approx(10 * found, rel=1e-4)
    normed = nn.Sequential(parametrizations.spectral_norm(nn.Linear(20, 30), n_power_iterations=20), nn.Embedding(9, 9))
    before = {key: value.clone() for key, value in normed.state_dict().items()}
    assert spectral({"generator": normed}, "generator") == pytest.approx(1.0, rel=0.05)
    assert all(torch.equal(before[key], value) for key, value in normed.state_dict().items())
    assert all(part.training for part in normed.modules())
    assert len(list(matrices(normed))) == 1
    assert spectral({}, "generator") is None


def test_large_images_are_reduced_without_aliasing() -> None:
    assert reduced(torch.zeros(2, 3, 256, 128)).shape == (2, 3, 32, 16)
    assert reduced(torch.zeros(2, 1, 8, 300)).shape == (2, 1, 1, 32)
    small = torch.rand(2, 5, 32, 20)
    assert reduced(small) is small
    stripes = (torch.arange(128) % 2 * 2.0 - 1).expand(1, 1, 128, 128)
    assert float(reduced(stripes)[..., 1:-1].abs().max()) < 0.01


def test_features_of_real_images_have_unit_size(digits: Tensor) -> None:
    space = Space.of(digits[:1000])
    features = space(digits[1000:])
    assert features.shape == (797, COMPONENTS + 1)
    assert float(features[:, :-1].square().mean()) == pytest.approx(1.0, rel=0.1)
    assert float(features[:, -1].abs().mean()) < 1.5
    wide = torch.randn(40, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert Space.of(wide)(wide).shape == (40, 6)


def test_a_small_set_does_not_look_further_from_itself_than_it_is(digits: Tensor) -> None:
    compared = Baseline.of(digits[:100], digits[100:110], digits[110:200])
    one = Patient(
        {}, lambda kind, count: digits[1500 : 1500 + count], None, digits[:100], digits[100:110], digits[110:200]
    )
    found, _ = examine(one, compared, {}, COUNT)
    assert abs(found["distance"] - compared.facts["distance_floor"]) < 5 * compared.facts["distance_floor_spread"]
    assert found["diversity"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_on_mnist_distance_ranks_damage(real_data: Path) -> None:
    data = open_data(DataConfig(source="mnist", folder=str(real_data)))
    rows = torch.from_numpy(data.images[:4000].copy()).float() / 127.5 - 1
    compared = Baseline.of(rows[:256], rows[256:512], rows[512:2512])
    one = Patient({}, lambda kind, count: rows[2600 : 2600 + count], None, rows[:256], rows[256:512], rows[512:2512])
    clean = rows[2600 : 2600 + COUNT]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    blurred = nn.functional.avg_pool2d(clean, 3, stride=1, padding=1)
    values = [told(one, compared, fakes)["distance"] for fakes in (clean, clean + 0.1 * noise, clean + 0.3 * noise)]
    assert values == sorted(values) and values[0] < 0.005 < values[1]
    assert told(one, compared, blurred)["distance"] > 0.005
    assert told(one, compared, clean[:8].repeat(32, 1, 1, 1))["distance"] > 0.03
