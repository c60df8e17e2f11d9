"""The page of an explanation: words beside every picture, and the number that stands behind them."""

from __future__ import annotations

import torch

from steadygan.interpretability.effects import Effect
from steadygan.interpretability.traits import TRAITS
from steadygan.report.frame import page, state
from steadygan.report.html import Html, folded, pairs, section, table, tag
from steadygan.session import explain_figures as figures
from steadygan.session import explain_words as words
from steadygan.session.explained import Explanation, Found, Looks

BY = {"boundary": "a boundary", "code": "its code"}
"""Methods that are no names, as they stand in a sentence."""
AIR = "margin:2rem 0"
"""Around pictures that something follows."""
METHODS = {
    "SeFa": "the first layer's map, taken apart: what it stretches most",
    "GANSpace": "what varies most inside the generator",
    "curvature": "where a small step changes the picture most",
    "boundary": "learned from classes, or from how much of a trait images have",
    "code": "a named value of the latent, trained to mean something",
    "chance": "random, to compare with",
}


def explain_page(found: Explanation) -> str:
    """The whole page, as the text of an HTML file."""
    told = words.verdict(found)
    head = (
        tag("p", f"steadygan explanation · {found.what} · {found.images_seen:,} images seen", class_="eyebrow"),
        tag("h1", f"What {found.path.name} has learned"),
        tag("div", state(told), pairs(told.points), class_="verdict"),
        tag("div", *(tag("p", note) for note in found.notes), class_="notes", role="note") if found.notes else None,
    )
    return page(
        f"{found.path.name}: what it has learned",
        head,
        ("directions", "Directions", _directions(found)),
        ("walks", "Between samples", _walks(found)),
        ("units", "Units", _units(found)),
        ("inversion", "What it cannot make", _inversion(found)),
        ("discriminator", "The discriminator", _discriminator(found)),
        ("firmness", "Firmness", _firmness(found)),
        ("map", "Map", _map(found)),
        ("how", "How it was made", _how(found)),
        closing=f"Made by steadygan explain {found.path}. This file holds all that it shows and fetches nothing.",
    )


def _directions(found: Explanation) -> Html:
    known = found.directions
    if known is None or not known.walks:
        return Html("")
    lead = (
        "Every image comes from a list of numbers. A direction changes many of them together. A good one moves one "
        "trait of the picture and leaves the rest; a random one shows what happens without looking for anything."
    )
    shown = [_walk(known, trait) for trait in known.walks]
    rows = [_row(one) for one in sorted(known.effects, key=_strength, reverse=True)]
    null = [_row(one) for one in sorted(known.chance, key=_strength, reverse=True)]
    traits = [f"{name}: change (rank correlation)" for name in TRAITS]
    head = ("direction", "found by", "reach", "class kept", *traits)
    what = "Change between the two ends, in standard deviations over samples"
    return section(
        "Directions",
        *shown,
        folded(f"All directions ({len(rows)})", table(head, rows, what)),
        folded(f"Random directions ({len(null)})", table(head, null, f"{what}, along random directions")),
        folded("How directions are found", table(("found by", "what that is"), METHODS.items(), "Ways to directions")),
        id="directions",
        lead=lead,
    )


def _strength(one: Effect) -> float:
    return max(abs(one.relative[name] * one.correlation[name]) for name in one.relative)


def _row(one: Effect) -> tuple[str, ...]:
    kept = "–" if one.kept is None else words.share(one.kept)
    traits = (f"{one.relative[name]:+.2f} ({one.correlation[name]:+.2f})" for name in TRAITS)
    return one.direction.name, one.direction.method, f"± {one.reach:g}", kept, *traits


def _walk(known: Found, trait: str) -> Html:
    best, null = known.walks[trait], known.null[trait]
    columns = best.images.shape[1]
    method, alone = best.effect.direction.method, known.alone[trait]
    caption = (
        f"{words.walk_words(best.effect, trait)}. Found by {BY.get(method, method)} ({METHODS[method]}); it "
        f"{'goes farther than chance' if words.steers(known, trait) else 'is no better than chance'}. "
        f"The best that was found without being told what to look for, {alone.direction.name}, moves it by "
        f"{abs(alone.relative[trait]):.1f} standard deviations (rank correlation {alone.correlation[trait]:.2f}"
        f"{'' if alone.kept is None else f', class kept in {words.share(alone.kept)}'})."
    )
    beside = f"A random direction over its own reach: {words.walk_words(null.effect, trait)}."
    pictures = (
        figures.shown(
            figures.tiles(best.images.flatten(0, 1), columns, f"Four samples along {best.effect.direction.name}"),
            caption,
            trait.capitalize(),
        ),
        figures.shown(
            figures.tiles(null.images.flatten(0, 1), columns, f"The same samples along {null.effect.direction.name}"),
            beside,
            f"{trait.capitalize()}, by the best random direction",
        ),
    )
    return tag("div", *pictures, class_="pictures", style=AIR)


def _walks(found: Explanation) -> Html:
    known = found.walks
    if known is None:
        return Html("")
    smooth = ""
    if known.length is not None:
        smooth = f" Path length {known.length.mean:.0f} ± {known.length.error:.0f}, by the judge's features: "
        smooth += "it compares runs on the same data, and lower is smoother."
    between = figures.shown(
        figures.tiles(known.between.flatten(0, 1), known.between.shape[1], "Walks between four pairs of samples"),
        f"From one sample to another, evenly. A generator that has only learned single images would jump.{smooth}",
        "From sample to sample",
    )
    told = [f"{factor:g}" for factor in known.factors]
    variety = f"; variety beside reals {', '.join(map(words.share, known.spread))}" if known.spread else ""
    sure = f"; the judge is sure to {', '.join(map(words.share, known.sure))}" if known.sure else ""
    truncated = figures.shown(
        figures.tiles(known.truncated.flatten(0, 1), known.truncated.shape[1], "The same samples, drawn to the centre"),
        f"The same samples with their latents scaled by {', '.join(told)}, from top to bottom{variety}{sure}. Where a "
        "row breaks up, no latent so near the centre, or so far from it, was ever drawn in training.",
        "Truncation",
    )
    return section(
        "Between samples",
        tag("div", between, truncated, class_="pictures", style=AIR),
        id="walks",
        lead="What lies between two samples, and what happens near the centre of all latents.",
    )


def _units(found: Explanation) -> Html:
    known = found.dissected
    if known is None:
        return Html("")
    lead = (
        "Inside, the generator draws with units. Some go along with a class. The proof is in switching them off: the "
        "class should go, and it should stay when as many random units are switched off."
    )
    parts: list[Html] = []
    if known.shown is not None and known.proof is not None:
        name = found.class_names[known.proof.target]
        parts.append(
            figures.shown(
                figures.tiles(known.shown.flatten(0, 1), known.shown.shape[1], f"Samples of class {name}, three times"),
                f"Samples of class {name} as they are (top), without the units of that class (middle: "
                f"{words.share(known.proof.off)} stop being of it) and without as many random ones (bottom: "
                f"{words.share(known.proof.off_chance)}).",
                f"Without the units of class {name}",
            )
        )
    maps = known.where.maps[list(known.strongest)]
    blank = torch.full((len(maps), 1, *maps.shape[1:]), -1.0)
    parts.append(
        figures.shown(
            figures.tiles(figures.heated(blank, maps), 6, "Where the strongest units draw"),
            f"Where the picture changes when one unit is switched off: the {len(maps)} strongest of layer "
            f"{known.layer.name} ({known.layer.units} units).",
            "Where units draw",
        )
    )
    rows = [
        (
            found.class_names[one.target],
            f"{one.images:,}",
            words.share(one.off),
            words.share(one.off_chance),
            words.share(one.insert),
            words.share(one.insert_chance),
            ", ".join(map(str, one.units[:8])),
        )
        for one in known.units
    ]
    head = ("class", "samples", "lost without", "at random", "gained with", "at random", "first units")
    what = "Samples that stop being of a class without its units, and others that become of it with them"
    return section(
        "Units",
        tag("div", *parts, class_="pictures", style=AIR),
        table(head, rows, what) if rows else None,
        id="units",
        lead=lead,
    )


def _inversion(found: Explanation) -> Html:
    known = found.reached
    if known is None:
        return Html("")
    lead = (
        "For real images the latent was looked for that comes nearest. What cannot be met is what the generator cannot "
        "make; training images that are met better than new ones would be learned by heart."
    )
    shown = [
        figures.shown(
            figures.tiles(figures.rows_of(*pair), len(pair[0]), f"Real images above, the nearest fakes below: {title}"),
            caption,
            title,
        )
        for title, caption, pair in (
            (
                "Hardest",
                "The real images that it meets worst (top), and what it makes instead (bottom).",
                known.hardest,
            ),
            ("Typical", "Real images with a middling error, and what it makes of them.", known.typical),
        )
    ]
    rows = [("training images", f"{float(known.train.error.mean()):.3f}", f"{len(known.train.error):,}")]
    if known.held_out is not None:
        rows.append(("held-out images", f"{float(known.held_out.error.mean()):.3f}", f"{len(known.held_out.error):,}"))
    rows.append(("its own images", f"{float(known.fakes.mean()):.3f}", f"{len(known.fakes):,}"))
    if known.encoded is not None:
        rows.append(("by its own encoder", f"{known.encoded:.3f}", "–"))
    classes = [
        (name, f"{value:.3f}") for name, value in zip(found.class_names, known.classes, strict=False) if value == value
    ]
    what = "Root of the mean squared difference of the pixels, on the scale from -1 to 1"
    return section(
        "What it cannot make",
        tag("div", *shown, class_="pictures", style=AIR),
        table(("images", "error", "how many"), rows, what),
        folded("By class", table(("class", "error"), classes, "Mean error of every class")) if classes else None,
        id="inversion",
        lead=lead,
    )


def _discriminator(found: Explanation) -> Html:
    if not found.looks:
        return Html("")
    lead = (
        "What the discriminator looks at when it takes an image for real. Orange speaks for real, blue against it. The "
        "images start from the mean of all reals, so what is shown is what sets each apart from it."
    )
    shown = [_looks(name, one) for name, one in found.looks.items()]
    charts = [chart for name, one in found.looks.items() for chart in _courses(name, one)]
    rows = [
        (f"{way}, on {name}s", f"{one.likeness[way][0]:.2f}", f"{one.likeness[way][1]:.2f}")
        for name, one in found.looks.items()
        for way in one.likeness
    ]
    what = (
        "How like the maps of the same network with shuffled weights are (rank correlation): near 0 is as it should be"
    )
    remark = (
        "Without signs, maps stay alike even where nothing was learned, because both follow the strokes of the image; "
        "only with signs do they tell what the discriminator has learned."
    )
    return section(
        "The discriminator",
        tag("div", *shown, class_="pictures", style=AIR),
        figures.grouped(*charts),
        folded("Can the maps be believed?", table(("maps", "with signs", "without"), rows, what), tag("p", remark)),
        id="discriminator",
        lead=lead,
    )


def _looks(name: str, one: Looks) -> Html:
    few = slice(0, 8)
    images = one.images[few]
    rows = [images, figures.heated(images, one.integrated[few]), figures.heated(images, one.occluded[few])]
    ways = ["the images", "integrated gradients", "occlusion"]
    if one.cam is not None:
        rows.append(figures.heated(images, one.cam[few]))
        ways.append("class activation")
    caption = (
        f"From top to bottom: {', '.join(ways)}. Integrated gradients add up to the verdict but for "
        f"{words.share(float(one.error.median()))} (completeness error, median of {len(one.error)} images)."
    )
    tiles = figures.tiles(figures.rows_of(*rows), len(images), f"What the discriminator looks at in {name}s")
    return figures.shown(tiles, caption, f"In {name}s")


def _courses(name: str, one: Looks) -> list[Html]:
    said = "A map is right where it {} faster than chance. Area: {}."
    return [
        figures.plot(
            f"{title} pixels of {name}s",
            {way: ([100 * x for x in course.shares], course.values) for way, course in courses.items()},
            "share of the pixels, %",
            "mean logit",
            said.format(verb, ", ".join(f"{way} {course.area:.2f}" for way, course in courses.items())),
        )
        for title, verb, courses in (
            ("Taking away", "falls", one.deletion),
            ("Putting in", "rises", one.insertion),
        )
    ]


def _firmness(found: Explanation) -> Html:
    if not found.endurance:
        return Html("")
    charts = [
        figures.plot(
            name.capitalize(),
            {
                "noise": ([100 * x for x in one.sizes], [100 * y for y in one.noise]),
                "one step (FGSM)": ([100 * x for x in one.sizes], [100 * y for y in one.single]),
                "many steps (PGD)": ([100 * x for x in one.sizes], [100 * y for y in one.many]),
            },
            "largest change of a pixel, % of the range",
            "verdicts that are right, %",
            "Noise of the same size tells whether the size or the aim of the attack counts.",
            least=0.0,
        )
        for name, one in found.endurance.items()
    ]
    return section(
        "How firm the verdicts are",
        figures.grouped(*charts),
        id="firmness",
        lead="An attacker who knows the network changes every pixel a little, in the direction that hurts most.",
    )


def _map(found: Explanation) -> Html:
    if found.map is None:
        return Html("")
    caption = (
        f"{int((~found.map.fake).sum()):,} reals (round) and {int(found.map.fake.sum()):,} fakes (triangles), by the "
        f"judge's features. What is alike lies together; distances far apart mean little. Mixing "
        f"{words.share(found.map.atlas.mixing)}: how often the nearest neighbours are of the other kind, beside chance."
    )
    key = tag(
        "ul",
        *(
            tag("li", tag("span", style=f"background:var(--line-{line})", class_="swatch"), name)
            for line, name in ((3, "real"), (4, "fake"))
        ),
        class_="legend",
    )
    drawing = figures.chart_of(found.map, found.class_names)
    return section(
        "Map of reals and fakes",
        tag("figure", key, drawing, tag("figcaption", caption), class_="card"),
        id="map",
        lead="Places with reals alone are what the generator leaves out; places with fakes alone are what it makes up.",
    )


def _how(found: Explanation) -> Html:
    channels, height, width = found.shape
    facts = [
        ("run", str(found.path)),
        ("images seen", f"{found.images_seen:,}"),
        ("images", f"{width} × {height}, {channels} channel{'s' if channels > 1 else ''}"),
        ("seed", str(found.seed)),
    ]
    seconds = [(name, f"{value:.1f} s") for name, value in found.seconds.items()]
    return section(
        "How it was made",
        pairs(facts, "facts"),
        folded("Time each part took", pairs(seconds, "settings")),
        id="how",
        lead="The same run, seed and machine give the same figures.",
    )
