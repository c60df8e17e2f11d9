"""Latents by distribution."""

from __future__ import annotations

import pytest
import torch

from steadygan.errors import SteadyganError
from steadygan.games.latents import LATENTS, Latent, coded


@pytest.mark.parametrize("name", LATENTS)
def test_shape_spread_and_seed(name: str) -> None:
    draw = LATENTS[name]
    made = draw(20_000, 3, torch.Generator().manual_seed(1), None)
    assert made.shape == (20_000, 3)
    assert made.dtype == torch.float32
    assert torch.allclose(made.mean(0), torch.zeros(3), atol=0.03)
    spread = {"normal": 1.0, "uniform": 3**-0.5, "sphere": 1.0}[name]
    assert made.std(0).tolist() == pytest.approx([spread] * 3, abs=0.02)
    assert torch.equal(made, draw(20_000, 3, torch.Generator().manual_seed(1), None))
    torch.manual_seed(4)
    assert not torch.equal(draw(5, 3, None, None), draw(5, 3, None, None))


def test_ranges() -> None:
    assert float(LATENTS["uniform"](10_000, 2, None, None).abs().max()) <= 1.0
    lengths = LATENTS["sphere"](100, 9, None, None).norm(dim=1)
    assert lengths.tolist() == pytest.approx([3.0] * 100, rel=1e-5)


def test_codes_are_parts_of_the_latent_drawn_evenly_and_set_at_will() -> None:
    latent = coded(3, LATENTS["normal"], {"category": 4}, ("first", "second"))
    made = latent(8_000, torch.Generator().manual_seed(2))
    assert made.shape == (8_000, 9) and latent.size == 9
    category, values = made[:, latent.codes["category"].place], made[:, 7:]
    assert torch.equal(category.sum(1), torch.ones(8_000)) and set(category.unique().tolist()) == {0.0, 1.0}
    assert category.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.02)
    assert float(values.abs().max()) <= 1 and values.std(0).tolist() == pytest.approx([3**-0.5] * 2, abs=0.02)
    given = latent.with_codes(made, {"category": 2, "second": -0.5})
    assert torch.equal(given[:, :3], made[:, :3]) and torch.equal(given[:, 7], made[:, 7]), "the others stay as drawn"
    assert torch.equal(given[:, 3:7].argmax(1), torch.full((8_000,), 2)) and bool((given[:, 8] == -0.5).all())
    assert not torch.equal(given, made), "and what was given is a copy"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"categroy": 1}, "did you mean 'category'"),
        ({"category": 4}, "choose a whole number from 0 to 3"),
        ({"category": 0.5}, "choose a whole number from 0 to 3"),
        ({"first": 1.5}, "choose from -1 to 1"),
    ],
)
def test_a_wrong_code_is_refused_by_name(code: dict[str, float], said: str) -> None:
    latent = coded(3, LATENTS["normal"], {"category": 4}, ("first",))
    with pytest.raises(SteadyganError, match=said):
        latent.with_codes(latent(2), code)


def test_a_latent_without_codes_says_so() -> None:
    plain = Latent(3, LATENTS["normal"])
    made = plain(2)
    assert torch.equal(plain.with_codes(made, {}), made)
    with pytest.raises(SteadyganError, match="has no codes"):
        plain.with_codes(made, {"category": 1})
