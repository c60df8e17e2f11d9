"""What was found out about a run, in words for who does not know GANs."""

from __future__ import annotations

from collections.abc import Iterable

from steadygan.interpretability.effects import KEPT, Effect
from steadygan.interpretability.traits import TRAITS
from steadygan.report.verdict import Verdict
from steadygan.session.explained import Explanation, Found

STEADY = 0.8
"""Rank correlation from which on a trait is said to move one way."""
ABOVE_CHANCE = 1.5
"""A direction counts where it moves its trait this many times farther than the best random one."""


def steers(found: Found, trait: str) -> bool:
    """Whether the best direction for a trait moves it one way, keeps classes, and beats random directions."""
    best, null = found.walks[trait].effect, found.null[trait].effect
    kept = best.kept is None or best.kept >= KEPT
    return (
        kept
        and abs(best.correlation[trait]) >= STEADY
        and abs(best.relative[trait]) >= ABOVE_CHANCE * abs(null.relative[trait])
    )


def verdict(found: Explanation) -> Verdict:
    """The answers on top of the page."""
    known = found.directions
    moved = [name for name in known.walks if steers(known, name)] if known else []
    gap = found.reached.gap if found.reached else None
    learned = f"It has learned {listed(moved)} as directions of their own" if moved else "No direction stands out"
    copies = ""
    if gap is not None:
        copies = ", but it knows training images by heart" if gap.memorised else ", and no sign of copying was found"
    points = [
        ("What can be steered?", directions(found)),
        ("What makes a class?", units(found)),
        ("Does it copy?", copying(found)),
        ("What can it not make?", missing(found)),
        ("Can fakes be told?", telling(found)),
        ("How firm are verdicts?", firmness(found)),
    ]
    wrong = not moved or (gap is not None and gap.memorised)
    return Verdict("wrong" if wrong else "good", f"{learned}{copies}.", [one for one in points if one[1]])


def listed(names: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    parts = list(names)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def share(value: float) -> str:
    """A share in whole percents."""
    return f"{value:.0%}"


def walk_words(effect: Effect, trait: str) -> str:
    """What happens to a trait along a direction."""
    low, high = effect.path[trait][0], effect.path[trait][-1]
    unit = TRAITS[trait][1]
    steadily = "steadily" if abs(effect.correlation[trait]) >= STEADY else "not steadily"
    stays = "" if effect.kept is None else f", and {share(effect.kept)} of the images keep their class"
    return (
        f"{trait.capitalize()} goes from {low:.3g} to {high:.3g} {unit} "
        f"({abs(effect.relative[trait]):.1f} standard deviations) over {2 * effect.reach:g} deviations of the latent, "
        f"{steadily} (rank correlation {effect.correlation[trait]:.2f}){stays}"
    )


def directions(found: Explanation) -> str:
    """The best direction, beside the best random one."""
    known = found.directions
    if known is None or not known.walks:
        return ""
    trait = max(known.walks, key=lambda name: (steers(known, name), abs(known.walks[name].effect.relative[name])))
    best, null = known.walks[trait].effect, known.null[trait].effect
    return (
        f"{walk_words(best, trait)}. The best of {len(known.chance)} random directions moves it by "
        f"{abs(null.relative[trait]):.1f} standard deviations."
    )


def units(found: Explanation) -> str:
    """How far the units of classes prove themselves."""
    if found.dissected is None or not found.dissected.units:
        return ""
    known = found.dissected.units
    off, chance = (
        sum(values) / len(known) for values in zip(*((one.off, one.off_chance) for one in known), strict=True)
    )
    number = len(known[0].units)
    return (
        f"Without the {number} of {found.dissected.layer.units} units of one inner layer that go with a class, "
        f"{share(off)} of its samples stop being of it; without {number} random ones, {share(chance)} do."
    )


def copying(found: Explanation) -> str:
    """Training images against held-out ones."""
    gap = found.reached.gap if found.reached else None
    if gap is None:
        return ""
    told = f"meets a training image more closely than a new one in {share(gap.easier)} of pairs (half is chance"
    return f"{'Yes' if gap.memorised else 'No sign of it'}: it {told}, give or take {share(gap.error)})."


def missing(found: Explanation) -> str:
    """What the generator meets worst."""
    if found.reached is None:
        return ""
    reached = found.reached
    error = float(reached.train.error.mean())
    own = float(reached.fakes.mean())
    words = f"Real images are met with an error of {error:.2f}, its own with {own:.2f}"
    known = {i: value for i, value in enumerate(reached.classes) if value == value}
    if known:
        worst, least = max(known, key=lambda i: known[i]), min(known, key=lambda i: known[i])
        words += (
            f"; class {found.class_names[worst]} is hardest ({known[worst]:.2f}), "
            f"{found.class_names[least]} easiest ({known[least]:.2f})"
        )
    return words + ". The hardest images are shown below."


def telling(found: Explanation) -> str:
    """How good the discriminator is, and how mixed the map."""
    words = []
    if found.accuracy is not None:
        words.append(f"The discriminator is right in {share(found.accuracy)} of new reals and fakes (half is chance).")
    if found.map is not None:
        mixing = found.map.atlas.mixing
        words.append(f"On the map, fakes and reals mix {share(mixing)} as much as if they were the same.")
    return " ".join(words)


def firmness(found: Explanation) -> str:
    """What an attack of a twentieth of the range does."""
    words = []
    for name, one in found.endurance.items():
        at = min(range(len(one.sizes)), key=lambda i: abs(one.sizes[i] - 0.05))
        words.append(f"{name} {share(one.many[at])} (noise: {share(one.noise[at])})")
    if not words:
        return ""
    return f"Still right when every pixel may change by 5% of the range, as an attacker likes: {'; '.join(words)}."
