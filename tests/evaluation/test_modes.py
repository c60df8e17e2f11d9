"""Mode counts against exact sums and simulation; bins and birthdays under laws whose answer is known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.evaluation.modes import (
    bin_test,
    birthday_support,
    fit_bins,
    mode_count,
    mode_coverage,
    perfect_kl,
    stacked_index,
)


def test_even_shares_have_no_divergence() -> None:
    found = mode_count(torch.arange(1000).repeat(26), 1000)
    assert (found.modes, found.of, found.samples) == (1000, 1000, 26_000)
    assert found.kl == pytest.approx(0.0, abs=1e-12)


@given(st.integers(1, 50), st.integers(1, 50))
def test_even_shares_of_some_modes_lack_the_rest(reached: int, of: int) -> None:
    reached = min(reached, of)
    found = mode_count(torch.arange(reached).repeat(3), of)
    assert found.modes == reached
    assert found.kl == pytest.approx(math.log(of / reached), abs=1e-12)


def test_divergence_from_other_shares_than_even_ones() -> None:
    modes = torch.tensor([0, 0, 0, 1])
    assert mode_count(modes, 2, torch.tensor([3.0, 1.0])).kl == pytest.approx(0.0, abs=1e-12)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert mode_count(modes, 2).kl == pytest.approx(expected, rel=1e-12)


@given(st.permutations(range(12)))
def test_the_order_of_samples_and_the_names_of_modes_do_not_matter(order: list[int]) -> None:
    modes = torch.tensor([0, 0, 1, 2, 2, 2, 3, 5, 5, 7, 9, 9])
    plain = mode_count(modes, 12)
    assert mode_count(modes[torch.tensor(order)], 12) == plain
    renamed = mode_count(torch.tensor(order)[modes], 12)
    assert (renamed.modes, renamed.kl) == (plain.modes, pytest.approx(plain.kl, rel=1e-12))


@pytest.mark.parametrize(("of", "samples"), [(2, 1), (2, 3), (3, 4)])
def test_a_perfect_sampler_against_every_outcome(of: int, samples: int) -> None:
    outcomes = itertools.product(range(of), repeat=samples)
    values = [mode_count(torch.tensor(outcome), of).kl for outcome in outcomes]
    assert perfect_kl(of, samples) == pytest.approx(sum(values) / len(values), rel=1e-9)


def test_a_perfect_sampler_of_stacked_digits() -> None:
    """Published floor of the protocol: .0194 ± .0008 at 26,000 samples of 1,000 modes."""
    assert perfect_kl(1000, 26_000) == pytest.approx(0.0194, abs=1e-4)
    drawn = torch.tensor([mode_count(torch.randint(0, 1000, (26_000,)), 1000).kl for _ in range(40)])
    assert float(drawn.mean()) == pytest.approx(perfect_kl(1000, 26_000), abs=4 * float(drawn.std()) / 40**0.5)
    assert 0.0005 < float(drawn.std()) < 0.0012
    assert perfect_kl(1, 5) == 0.0


def test_three_digits_name_a_mode() -> None:
    digits = torch.tensor([[0, 0, 0], [0, 0, 9], [1, 2, 3], [9, 9, 9]])
    assert stacked_index(digits).tolist() == [0, 9, 123, 999]


def test_coverage_of_a_mixture() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    samples = torch.tensor([[0.0, 0.029], [0.0, 0.031], [1.0, 0.0], [1.0, 0.001], [1.5, 0.0]])
    found = mode_coverage(samples, centres, 0.01)
    assert (found.found, found.of, found.high_quality) == (2, 3, 0.6)
    assert (found.smallest, found.largest) == (0.0, 0.4)
    assert mode_coverage(samples, centres, 0.01, at_least=2).found == 1


def test_the_mixture_itself_has_the_share_of_a_two_dimensional_normal_law() -> None:
    centres = torch.tensor([[x, y] for x in (-4.0, 0.0, 4.0) for y in (-4.0, 4.0)])
    samples = centres[torch.randint(0, 6, (100_000,))] + 0.05 * torch.randn(100_000, 2)
    found = mode_coverage(samples, centres, 0.05)
    assert found.found == 6
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.0015)


def test_real_against_real_differs_in_about_five_per_cent_of_the_bins() -> None:
    shares = []
    for seed in range(6):
        source = torch.Generator().manual_seed(seed)
        bins = fit_bins(torch.randn(4000, 5, generator=source), bins=50, seed=seed)
        shares.append(bin_test(bins, torch.randn(4000, 5, generator=source)).share)
    # 300 bins at 5 %, standard deviation 1.3 %
    assert 0.01 <= sum(shares) / len(shares) <= 0.09


def test_bins_see_a_lost_mode() -> None:
    centres = 10 * torch.randn(10, 4)

    def draw(modes: int) -> torch.Tensor:
        return centres[torch.randint(0, modes, (3000,))] + torch.randn(3000, 4)

    bins = fit_bins(draw(10), bins=10, seed=0)
    whole, lost = bin_test(bins, draw(10)), bin_test(bins, draw(5))
    assert whole.share <= 0.3
    assert lost.share == 1.0
    assert (lost.z > 0).sum() == 5
    assert lost.divergence > 10 * whole.divergence


def test_the_statistic_of_a_bin_is_that_of_two_proportions() -> None:
    real = torch.cat([torch.zeros(60, 1), torch.ones(40, 1)])
    fake = torch.cat([torch.zeros(20, 1), torch.ones(80, 1)])
    found = bin_test(fit_bins(real, bins=2), fake)
    expected = (0.8 - 0.4) / math.sqrt(0.6 * 0.4 * 2 / 100)
    assert found.z.max() == pytest.approx(expected, rel=1e-9)
    assert found.z.min() == pytest.approx(-expected, rel=1e-9)
    assert (found.different, found.share) == (2, 1.0)
    same = bin_test(fit_bins(real, bins=2), real)
    assert (same.different, same.divergence, float(same.z.abs().max())) == (0, 0.0, 0.0)


def test_sets_that_share_no_bin_are_one_bit_apart() -> None:
    real = torch.cat([torch.zeros(10, 1), torch.ones(10, 1), 9 * torch.ones(10, 1)])
    bins = fit_bins(real, bins=3)
    split = bin_test(bins, torch.full((30, 1), 9.0))
    # Jensen-Shannon of (1/3, 1/3, 1/3) and (0, 0, 1)
    expected = 0.5 * (2 / 3 * 1 + 1 / 3 * math.log2((1 / 3) / (2 / 3)) + math.log2(1 / (2 / 3)))
    assert split.divergence == pytest.approx(expected, rel=1e-9)


def test_bins_are_the_same_for_the_same_seed() -> None:
    real = torch.randn(300, 3)
    first, second = fit_bins(real, bins=7, seed=4), fit_bins(real, bins=7, seed=4)
    assert torch.equal(first.centres, second.centres)
    assert int(first.counts.sum()) == first.count == 300
    assert torch.equal(torch.bincount(first.assign(real), minlength=7), first.counts)


def test_birthdays_tell_the_size_of_a_support() -> None:
    size, samples = 2000, 1500
    inside, sizes = 0, []
    for _ in range(40):
        counts = torch.bincount(torch.randint(0, size, (samples,)), minlength=size)
        found = birthday_support(samples, int((counts * (counts - 1) // 2).sum()))
        inside += found.low <= size <= found.high
        sizes.append(1 / found.size)
    assert inside >= 34  # 38 expected
    assert 1 / (sum(sizes) / len(sizes)) == pytest.approx(size, rel=0.03)


def test_birthdays_at_their_ends() -> None:
    none = birthday_support(1000, 0)
    assert none.size == none.high == math.inf
    # exp(-mean) = .025 where nothing was seen
    assert none.low == pytest.approx(499_500 / -math.log(0.025), rel=1e-6)
    same = birthday_support(100, 4950)
    assert same.size == 1.0
    assert 1.0 <= same.low <= same.size <= same.high


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mode_count(torch.empty(0, dtype=torch.long), 5), "modes of shape"),
        (lambda: mode_count(torch.tensor([5]), 5), "modes from 5 to 5 of 5"),
        (lambda: mode_count(torch.tensor([-1]), 5), "modes from -1"),
        (lambda: mode_count(torch.tensor([0.5]), 5), "modes of shape"),
        (lambda: mode_count(torch.tensor([0]), 2, torch.tensor([1.0, 0.0])), "target shares"),
        (lambda: stacked_index(torch.tensor([[1, 10]])), "classes from 1 to 10"),
        (lambda: stacked_index(torch.tensor([1])), "classes of shape"),
        (lambda: perfect_kl(0, 5), "0 modes"),
        (lambda: mode_coverage(torch.zeros(3, 2), torch.zeros(2, 3), 1.0), "samples .* with centres"),
        (lambda: mode_coverage(torch.zeros(0, 2), torch.zeros(2, 2), 1.0), "0 samples"),
        (lambda: mode_coverage(torch.zeros(3, 2), torch.zeros(2, 2), 0.0), "spread of 0"),
        (lambda: mode_coverage(torch.full((3, 2), math.nan), torch.zeros(2, 2), 1.0), "NaN"),
        (lambda: fit_bins(torch.zeros(10, 2), bins=6), "6 bins"),
        (lambda: fit_bins(torch.full((10, 2), math.inf), bins=2), "NaN or infinity"),
        (lambda: bin_test(fit_bins(torch.randn(10, 2), bins=2), torch.zeros(3, 4)), r"give \(N, 2\)"),
        (lambda: bin_test(fit_bins(torch.randn(10, 2), bins=2), torch.zeros(0, 2)), "0 fakes"),
        (lambda: birthday_support(1, 0), "among 1 samples"),
        (lambda: birthday_support(3, 4), "4 duplicate pairs"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(SteadyganError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_order_and_threads_do_not_matter() -> None:
    real, fake = torch.randn(500, 4), 0.5 + torch.randn(400, 4)
    bins = fit_bins(real, bins=10)
    plain = bin_test(bins, fake)
    turned = bin_test(bins, fake.flip(0))
    torch.set_num_threads(2)
    threaded = bin_test(fit_bins(real, bins=10), fake)
    for other in (turned, threaded):
        assert other[:3] == plain[:3]
        assert torch.equal(other.z, plain.z)
