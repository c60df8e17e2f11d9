"""Spectra: whether fakes have the power of real images at every frequency, and none of the marks of upsampling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from steadygan.errors import SteadyganError

CHUNK = 512
"""Images transformed at once."""
BANDS = 3
"""Low, middle and high frequencies, by equal thirds of the range from 0 to the Nyquist frequency; corners are high."""


class Spectrum(NamedTuple):
    """How the spectrum of fakes differs from that of reals, in decibels.

    ``radial`` and ``full``: root mean square difference of the log power averaged over rings of equal frequency, and
    of every frequency (0 or more). ``bands`` (3,): mean difference in low, middle and high frequencies, above 0 where
    fakes have more. ``checkerboard``: the largest excess of the peaks at and next to the Nyquist frequency (across,
    down, both) over their surroundings, fakes against reals. ``comb``: the same at half that frequency, where blocks
    of four leave their mark. ``frequencies`` (R,) in cycles a pixel, with the profiles of ``real`` and ``fake`` (R,).
    """

    radial: float
    full: float
    bands: Tensor
    checkerboard: float
    comb: float
    frequencies: Tensor
    real: Tensor
    fake: Tensor


class PowerStatistics:
    """Mean power at every frequency of images that arrive in chunks; any order and any chunks give the same."""

    def __init__(self) -> None:
        self.count = 0
        self._power: Tensor | None = None

    def update(self, images: Tensor) -> None:
        """Take in images (N, C, H, W); N may be 0.

        Raises:
            SteadyganError: for another shape, sides below 4 pixels, another size than before, NaN or infinity.
        """
        if images.dim() != 4 or images.shape[1] == 0 or min(images.shape[2:]) < 4:
            raise SteadyganError(
                f"images of shape {tuple(images.shape)}", "give (N, C, H, W) with sides of 4 pixels or more"
            )
        if self._power is not None and self._power.shape != images.shape[1:]:
            raise SteadyganError(
                f"images of {_words(images.shape[1:])} after {_words(self._power.shape)}", "bring all to one size"
            )
        for start in range(0, len(images), CHUNK):
            values = images[start : start + CHUNK].detach().to(device="cpu", dtype=torch.float64)
            if not bool(values.isfinite().all()):
                raise SteadyganError("images that hold NaN or infinity", "check the samples")
            power = torch.fft.fft2(values, norm="ortho").abs().square().sum(0)
            self._power = power if self._power is None else self._power + power
            self.count += len(values)

    def merge(self, other: PowerStatistics) -> None:
        """Take in all that another one has gathered. Raises SteadyganError where its images have another size."""
        if other._power is None:
            return
        if self._power is not None and self._power.shape != other._power.shape:
            raise SteadyganError(
                f"images of {_words(other._power.shape)} and {_words(self._power.shape)}", "bring all to one size"
            )
        self._power = other._power.clone() if self._power is None else self._power + other._power
        self.count += other.count

    def finish(self) -> Tensor:
        """Mean power (C, H, W), frequency 0 first; white noise has its variance everywhere. float64.

        Raises:
            SteadyganError: with no images.
        """
        if self._power is None or self.count == 0:
            raise SteadyganError("a spectrum of no images", "give at least 1")
        return self._power / self.count


def power_spectrum(images: Tensor) -> Tensor:
    """Mean power (C, H, W) of images (N, C, H, W). Raises SteadyganError as ``PowerStatistics`` does."""
    statistics = PowerStatistics()
    statistics.update(images)
    return statistics.finish()


def radial_profile(power: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies (R,) in cycles a pixel, and the mean of power (C, H, W) over channels and over rings around 0 (R,).

    A ring is one step of the shorter side's frequencies wide; frequency 0 is a ring of its own.
    """
    radius = _radius(power)
    ring = (radius * min(power.shape[-2:])).round().long()
    ring = torch.where(radius > 0, ring.clamp(min=1), ring).flatten()
    sizes = torch.bincount(ring).double()
    there = sizes > 0
    sums = torch.zeros_like(sizes).index_add_(0, ring, power.mean(0).flatten())
    middles = torch.zeros_like(sizes).index_add_(0, ring, radius.flatten())
    return (middles / sizes)[there], (sums / sizes)[there]


def spectrum_distance(real: Tensor, fake: Tensor, *, span: float = 2.0) -> Spectrum:
    """Compare the spectra of two sets of images (N, C, H, W) of one size; N may differ.

    ``span`` is the difference of the largest and the smallest possible pixel (2 for [-1, 1]). The rounding noise of 8
    bits, ``(span / 255)² / 12``, is added to either side: what cannot be seen in a saved image has no weight.
    Frequency 0 (mean brightness) is left out. Papers: Odena et al. 2016, Deconvolution and Checkerboard Artifacts;
    Durall et al. 2020, Watch Your Up-Convolution; Frank et al. 2020, Leveraging Frequency Analysis.

    Raises:
        SteadyganError: for sizes that differ, no images, sides below 4 pixels, NaN or infinity.
    """
    return compare_power(power_spectrum(real), power_spectrum(fake), span=span)


def compare_power(real: Tensor, fake: Tensor, *, span: float = 2.0) -> Spectrum:
    """``spectrum_distance`` from the mean power (C, H, W) of each side, as ``PowerStatistics`` gathers it."""
    if real.shape != fake.shape or real.dim() != 3:
        raise SteadyganError(f"spectra of shape {tuple(real.shape)} and {tuple(fake.shape)}", "use images of one size")
    if not span > 0:
        raise SteadyganError(f"a span of {span:g}", "give the largest minus the smallest possible pixel")
    floor = (span / 255) ** 2 / 12
    first, second = real.double() + floor, fake.double() + floor
    frequencies, real_ring = radial_profile(first)
    fake_ring = radial_profile(second)[1]
    real_profile, fake_profile = _decibels(real_ring), _decibels(fake_ring)
    rings = (fake_profile - real_profile)[1:]
    every = (_decibels(second) - _decibels(first)).flatten(1)[:, 1:]
    edges = torch.arange(1, BANDS, dtype=torch.float64) * (0.5 / BANDS)
    band = torch.bucketize(frequencies[1:], edges)
    bands = torch.stack(
        [rings[band == place].mean() if bool((band == place).any()) else rings.new_zeros(()) for place in range(BANDS)]
    )
    return Spectrum(
        radial=float(rings.square().mean().sqrt()),
        full=float(every.square().mean().sqrt()),
        bands=bands,
        checkerboard=_excess(first, second, 2),
        comb=_excess(first, second, 4),
        frequencies=frequencies,
        real=real_profile,
        fake=fake_profile,
    )


def _excess(real: Tensor, fake: Tensor, period: int) -> float:
    """The largest rise of a peak at 1 / period over its surroundings, fakes minus reals, in decibels."""
    height, width = real.shape[-2:]
    down, across = round(height / period), round(width / period)
    spots = [(down, 0), (0, across), (down, across)]
    return max(_rise(fake.mean(0), *spot) - _rise(real.mean(0), *spot) for spot in spots)


def _rise(power: Tensor, row: int, column: int) -> float:
    """The strongest of the 3x3 around a frequency against the median of the 7x7 (or less) around that, in decibels."""
    height, width = power.shape
    # an odd side has no frequency at exactly 1/2, but two next to it: the 3x3 holds both
    reach = [min(3, (side - 1) // 2) for side in (height, width)]
    rows = (row + torch.arange(-reach[0], reach[0] + 1)) % height
    columns = (column + torch.arange(-reach[1], reach[1] + 1)) % width
    around = power[rows][:, columns]
    inner = torch.zeros_like(around, dtype=torch.bool)
    inner[reach[0] - 1 : reach[0] + 2, reach[1] - 1 : reach[1] + 2] = True
    outer = around[~inner]
    base = outer.median() if len(outer) else power.median()
    return float(_decibels(around[inner].max()) - _decibels(base))


def _radius(power: Tensor) -> Tensor:
    down = torch.fft.fftfreq(power.shape[-2], dtype=torch.float64)
    across = torch.fft.fftfreq(power.shape[-1], dtype=torch.float64)
    radius: Tensor = (down[:, None].square() + across[None].square()).sqrt()
    return radius


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.log10()


def _words(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} with {channels} channel(s)"
