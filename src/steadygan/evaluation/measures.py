"""The metrics as functions of the material: each calls the statistics of its own file and names the values."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.diversity import diversity_ratio, inception_score, vendi_score
from steadygan.evaluation.frechet import frechet_distance, frechet_infinity, gaussian_statistics
from steadygan.evaluation.image_quality import ms_ssim
from steadygan.evaluation.kernel import kernel_distance
from steadygan.evaluation.material import Material, Measured, Side
from steadygan.evaluation.memorisation import memorisation, near_duplicates, near_radius
from steadygan.evaluation.modes import bin_test, fit_bins, mode_count
from steadygan.evaluation.neighbours import neighbour_scores
from steadygan.evaluation.sliced import sliced_wasserstein
from steadygan.evaluation.spectrum import spectrum_distance
from steadygan.runtime import seeding

Values = Mapping[str, Measured]
PAIRS = 500
"""Pairs of images whose likeness is averaged."""


def measure_fid(material: Material) -> Values:
    """Fréchet distance of the features."""

    def statistics(side: Side) -> tuple[Tensor, Tensor]:
        return side.once("gaussian", lambda: gaussian_statistics(side.features))

    return {"fid": Measured(frechet_distance(*statistics(material.real), *statistics(material.fake)))}


def measure_ndb(material: Material) -> Values:
    """Share of bins of the reals that fakes fill differently."""
    real = material.real
    # ten samples a bin make the test's normal law fair
    count = max(2, min(100, len(real.features) // 10))
    bins = real.once("bins", lambda: fit_bins(real.features, count))
    return {"ndb": Measured(bin_test(bins, material.fake.features).share)}


def measure_classes(material: Material) -> Values:
    """Classes among the fakes by the feature network's own judgement, against the reals' shares."""
    number = material.real.probabilities.shape[1]
    share = material.real.probabilities.argmax(1).bincount(minlength=number).double()
    found = material.fake.probabilities.argmax(1)
    # a class that no real has would make the divergence infinite
    result = mode_count(found, number, (share + 0.5) / (share + 0.5).sum())
    return {"modes": Measured(float(result.modes)), "mode_kl": Measured(result.kl)}


def measure_memorisation(material: Material) -> Values:
    """Whether fakes lie nearer to training than to held-out reals."""
    if material.training is None or material.held_out is None:
        raise SteadyganError("memorisation needs training and held-out reals", "raise data.held_out")
    found = memorisation(material.fake.features, material.training.features, material.held_out.features)
    return {"memorised": Measured(found.share - found.by_chance), "copying": Measured(found.copying_z)}


def measure_spectrum(material: Material) -> Values:
    """Difference of the mean spectra, and what stands out at the highest frequency."""
    found = spectrum_distance(material.real.images / 255.0, material.fake.images / 255.0, span=1.0)
    return {"spectrum": Measured(found.radial), "checkerboard": Measured(found.checkerboard)}


def measure_fid_infinity(material: Material) -> Values:
    """The Fréchet distance extrapolated to endlessly many fakes; the reals stay as they are."""
    found = frechet_infinity(material.real.features, material.fake.features, seed=0)
    return {"fid_infinity": Measured(found.value, found.standard_error)}


def measure_kid(material: Material) -> Values:
    """Kernel distance over all pairs."""
    found = kernel_distance(material.real.features, material.fake.features)
    return {"kid": Measured(found.value, found.standard_error)}


def measure_prdc(material: Material) -> Values:
    """Precision, recall, density and coverage at k = 5."""
    found = neighbour_scores(material.real.features, material.fake.features)
    return {
        "precision": Measured(found.precision),
        "recall": Measured(found.recall),
        "density": Measured(found.density),
        "coverage": Measured(found.coverage),
    }


def measure_is(material: Material) -> Values:
    """Inception score by the feature network's own classes, over all images at once."""
    return {"is": Measured(inception_score(material.fake.probabilities).mean)}


def measure_vendi(material: Material) -> Values:
    """Effective number of different fakes, around the mean of the reals."""
    middle = material.real.features.double().mean(0)
    return {"vendi": Measured(vendi_score(material.fake.features.double() - middle))}


def measure_diversity(material: Material) -> Values:
    """Mean distance between fakes, over that between reals."""
    return {"diversity": Measured(diversity_ratio(material.real.features, material.fake.features))}


def measure_swd(material: Material) -> Values:
    """Sliced Wasserstein distance of the features."""
    found = sliced_wasserstein(material.real.features, material.fake.features)
    return {"swd": Measured(found.value, found.standard_error)}


def measure_ms_ssim(material: Material) -> Values:
    """Mean likeness of two fakes less that of two reals: above 0 fakes are too alike."""
    real = material.real.once("likeness", lambda: _likeness(material.real))
    return {"ms_ssim": Measured(_likeness(material.fake) - real)}


def _likeness(side: Side) -> float:
    images = side.images
    source = seeding.generator("pairs", len(images))
    count = min(PAIRS, len(images))
    first = torch.randperm(len(images), generator=source)[:count]
    # never an image with itself
    second = (first + torch.randint(1, len(images), (count,), generator=source)) % len(images)
    parts = zip(torch.split(first, 50), torch.split(second, 50), strict=True)
    return float(torch.cat([ms_ssim(images[a] / 255.0, images[b] / 255.0, span=1.0) for a, b in parts]).mean())


def measure_duplicates(material: Material) -> Values:
    """Share of fakes with another one nearer than one in a hundred reals has."""
    radius = material.real.once("radius", lambda: near_radius(material.real.features))
    found = near_duplicates(material.fake.features, radius, limit=1)
    return {"duplicates": Measured(found.samples / len(material.fake.features))}
