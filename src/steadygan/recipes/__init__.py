"""Recipes: functions from what is known about the data to a whole config, in one explicit table."""

from __future__ import annotations

from collections.abc import Callable

from steadygan.config import RunConfig
from steadygan.errors import unknown
from steadygan.recipes.acgan import acgan
from steadygan.recipes.autoencoder import aae, vae
from steadygan.recipes.bigan import ali, bigan
from steadygan.recipes.cogan import cogan
from steadygan.recipes.conditional import cgan, cgan_projection
from steadygan.recipes.dcgan import dcgan, lsgan
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.fgan import f_gan
from steadygan.recipes.infogan import infogan
from steadygan.recipes.lapgan import lapgan
from steadygan.recipes.mlp import mlp
from steadygan.recipes.progressive import progressive
from steadygan.recipes.r3 import digits, r3
from steadygan.recipes.sagan import sagan
from steadygan.recipes.semi_supervised import semi_supervised
from steadygan.recipes.sngan import sngan
from steadygan.recipes.style import style
from steadygan.recipes.vae_gan import vae_gan
from steadygan.recipes.variety import (
    consistency,
    feature_matching,
    mad_gan,
    minibatch_discrimination,
    pacgan,
    unrolled,
)
from steadygan.recipes.wgan import wgan, wgan_gp

Recipe = Callable[[DataFacts], RunConfig]

RECIPES: dict[str, Recipe] = {
    "mlp": mlp,
    "dcgan": dcgan,
    "digits": digits,
    "lsgan": lsgan,
    "wgan": wgan,
    "wgan-gp": wgan_gp,
    "sngan": sngan,
    "r3": r3,
    "cgan": cgan,
    "cgan-projection": cgan_projection,
    "acgan": acgan,
    "infogan": infogan,
    "semi-supervised": semi_supervised,
    "cogan": cogan,
    "mad-gan": mad_gan,
    "f-gan": f_gan,
    "unrolled": unrolled,
    "pacgan": pacgan,
    "consistency": consistency,
    "feature-matching": feature_matching,
    "minibatch-discrimination": minibatch_discrimination,
    "aae": aae,
    "vae": vae,
    "bigan": bigan,
    "ali": ali,
    "vae-gan": vae_gan,
    "progressive": progressive,
    "lapgan": lapgan,
    "sagan": sagan,
    "style": style,
}


def about(name: str) -> str:
    """A recipe in one line."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return (RECIPES[name].__doc__ or "").strip().splitlines()[0]


def choose(facts: DataFacts) -> tuple[str, str]:
    """The recipe that ``auto`` stands for on this data, and why, in words."""
    channels, height, width = facts.shape
    size = f"{facts.count:,} images of {width}x{height} with {channels} channel{'s' if channels > 1 else ''}"
    size += " on a CPU" if facts.device == "cpu" else " on a GPU"
    if facts.name == "digits" and (height, width) == (8, 8):
        return "digits", f"{size}: the small default family"
    scarce = (
        ", with adaptive augmentation since a set this small is soon learnt by heart" if facts.count < 20_000 else ""
    )
    return "r3", f"{size}: the default family{scarce}"


def build(name: str, facts: DataFacts) -> RunConfig:
    """The config of recipe ``name`` (or ``auto``) for this data. Raises SteadyganError for an unknown name."""
    chosen, why = choose(facts) if name == "auto" else (name, f"asked for {name}")
    if chosen not in RECIPES:
        raise unknown("recipe", name, [*RECIPES, "auto"])
    return RECIPES[chosen](facts).model_copy(update={"why": why})
