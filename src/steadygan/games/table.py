"""Every family by name: a family of one's own is one file and one line here, or ``module:attribute``."""

from __future__ import annotations

from steadygan.games.acgan import ACGAN
from steadygan.games.autoencoder import ADVERSARIAL_AUTOENCODER, VARIATIONAL_AUTOENCODER
from steadygan.games.bigan import BIGAN
from steadygan.games.consistency import CONSISTENCY
from steadygan.games.divergence import DIVERGENCE
from steadygan.games.family import Family
from steadygan.games.infogan import INFOGAN
from steadygan.games.progressive import PROGRESSIVE
from steadygan.games.pyramid import LAPGAN
from steadygan.games.semi_supervised import SEMI_SUPERVISED
from steadygan.games.several import SEVERAL
from steadygan.games.style import STYLE
from steadygan.games.unrolled import UNROLLED
from steadygan.games.vae_gan import VAE_GAN

FAMILIES: dict[str, Family] = {
    "adversarial": Family(lambda kit: kit.adversarial.moves()),
    "acgan": ACGAN,
    "infogan": INFOGAN,
    "semi-supervised": SEMI_SUPERVISED,
    "mad-gan": SEVERAL,
    "f-gan": DIVERGENCE,
    "unrolled": UNROLLED,
    "consistency": CONSISTENCY,
    "adversarial-autoencoder": ADVERSARIAL_AUTOENCODER,
    "variational-autoencoder": VARIATIONAL_AUTOENCODER,
    "bigan": BIGAN,
    "vae-gan": VAE_GAN,
    "progressive": PROGRESSIVE,
    "lapgan": LAPGAN,
    "style": STYLE,
}
"""What the setting ``game`` names."""
