"""Which metric sees what: real images with one fault at a time, in standard deviations of real against real.

    python benchmarks/sensitivity.py          three minutes on one thread; writes the tables of docs/which-number.md
    python benchmarks/sensitivity.py --data fashion-mnist
    python benchmarks/sensitivity.py --quick       a few seconds; keeps nothing in the repository
    python benchmarks/sensitivity.py --table       only the tables, from the results that are there

2,000 real training images are the reference, 2,000 others are held out. Fakes are 2,000 further real images with a
fault: noise, blur, JPEG, a checkerboard, lost classes, copies of one another, few images shown over and over, or copies
of the reference. Every metric of the table in ``steadygan.evaluation`` (but the extrapolated Fréchet distance) is taken
in the features of pixels, of a random network, and (MNIST) of the independent judge. The floor is the same without a
fault, for ``--resamples`` draws; the effect is ``(value - floor mean) / floor standard deviation``, so that 3 is a
difference that hardly happens by chance. What must be seen, and in which direction, stands in ``EXPECTED``.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import judge as independent
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.evaluation.features.plain import Pixels, Random
from steadygan.evaluation.features.reading import Reading
from steadygan.evaluation.material import Material, Side
from steadygan.evaluation.metrics_table import METRICS
from steadygan.runtime import seeding
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "which-number.md"
SEEN = 3.0
"""Effects below this are shown as not seen."""
ON_FEATURES = ("fid", "kid", "prdc", "vendi", "diversity", "swd", "ndb", "memorisation", "duplicates")
ON_PIXELS, ON_CLASSES = ("ms_ssim", "spectrum"), ("is", "classes")
LEFT_OUT = ("modes",)
"""Values without a spread among reals: all ten classes are always there."""
EXPECTED = {
    "noise": {
        ("pixels", "spectrum"): 1,
        ("pixels", "precision"): -1,
        ("random", "precision"): -1,
        ("random", "fid"): 1,
        ("judge", "fid"): 1,
        ("judge", "kid"): 1,
    },
    "blur": {
        ("pixels", "spectrum"): 1,
        ("pixels", "fid"): 1,
        ("random", "precision"): -1,
        ("random", "fid"): 1,
        ("judge", "fid"): 1,
        ("judge", "kid"): 1,
        ("judge", "is"): -1,
    },
    "jpeg": {("pixels", "spectrum"): 1, ("random", "fid"): 1, ("random", "kid"): 1},
    "checkerboard": {("pixels", "checkerboard"): 1, ("pixels", "spectrum"): 1, ("random", "fid"): 1},
    "lost classes": {
        ("judge", "fid"): 1,
        ("judge", "kid"): 1,
        ("judge", "mode_kl"): 1,
        ("judge", "is"): -1,
        ("judge", "recall"): -1,
        ("judge", "coverage"): -1,
        ("judge", "vendi"): -1,
        ("judge", "ndb"): 1,
    },
    "duplicates": {
        ("pixels", "duplicates"): 1,
        ("judge", "duplicates"): 1,
        ("judge", "coverage"): -1,
        ("judge", "recall"): -1,
        ("judge", "fid"): 1,
    },
    "collapse": {
        ("judge", "fid"): 1,
        ("judge", "kid"): 1,
        ("judge", "recall"): -1,
        ("judge", "coverage"): -1,
        ("judge", "vendi"): -1,
        ("judge", "ndb"): 1,
        ("judge", "duplicates"): 1,
    },
    "memorised": {
        ("pixels", "memorised"): 1,
        ("pixels", "copying"): -1,
        ("random", "memorised"): 1,
        ("judge", "memorised"): 1,
        ("judge", "copying"): -1,
    },
}
"""Sign of the effect that the strongest form of each fault must have, by features and value."""


class Fault(NamedTuple):
    """A fault, its strengths in words and as numbers, and what it makes of (fakes, their labels, reference)."""

    name: str
    words: str
    strengths: tuple[float, ...]
    make: Callable[[Tensor, Tensor, Tensor, float, torch.Generator], Tensor]


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


def noise(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """Gaussian noise of this standard deviation, in units of the range of pixels."""
    return _bytes(images / 255 + strength * torch.randn(images.shape, generator=source))


def blur(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """A Gaussian blur of this standard deviation in pixels."""
    reach = math.ceil(3 * strength)
    line = (-torch.arange(-reach, reach + 1).float().square() / (2 * strength**2)).exp()
    line = (line / line.sum()).reshape(1, 1, 1, -1)
    padded = F.pad(images / 255, (reach,) * 4, mode="replicate")
    return _bytes(F.conv2d(F.conv2d(padded, line), line.transpose(2, 3)))


def jpeg(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """Saved as JPEG of this quality, and read again."""
    found = []
    for image in images[:, 0].numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(strength))
        found.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(found))[:, None]


def checkerboard(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """Every second pixel in every second row brighter by this share of the range, as uneven upsampling makes it."""
    made = images / 255
    made[:, :, ::2, ::2] += strength
    return _bytes(made)


def lost(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """None of the last so many classes; images of the others take their place."""
    kept = (labels < 10 - int(strength)).nonzero().flatten()
    return images[_fill(kept, len(images), source)]


def duplicates(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """This share of the images are exact copies of others among them."""
    return images[_fill(torch.arange(max(1, round(len(images) * (1 - strength)))), len(images), source)]


def collapse(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """Only this share of the images, each shown many times with a little noise and moved by up to one pixel."""
    rows = torch.randint(0, max(1, round(len(images) * strength)), (len(images),), generator=source)
    moves = torch.randint(-1, 2, (len(images), 2), generator=source).tolist()
    moved = [torch.roll(images[row], move, (1, 2)) for row, move in zip(rows.tolist(), moves, strict=True)]
    return noise(torch.stack(moved), labels, reference, 0.02, source)


def memorised(images: Tensor, labels: Tensor, reference: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """This share of the images are reference images with noise that nobody sees."""
    count = round(len(images) * strength)
    rows = torch.randperm(len(reference), generator=source)[:count]
    copies = noise(reference[rows], labels, reference, 0.01, source)
    return torch.cat([copies, images[count:]])


FAULTS = (
    Fault("noise", "noise, standard deviation {:g}", (0.02, 0.1, 0.3), noise),
    Fault("blur", "blur, {:g} pixels", (0.4, 0.7, 1.5), blur),
    Fault("jpeg", "JPEG of quality {:g}", (90, 50, 10), jpeg),
    Fault("checkerboard", "checkerboard, {:g} of the range", (0.01, 0.05, 0.2), checkerboard),
    Fault("lost classes", "{:g} of 10 classes lost", (1, 3, 6), lost),
    Fault("duplicates", "{:.0%} copies of other fakes", (0.1, 0.5, 0.9), duplicates),
    Fault("collapse", "collapse to {:.1%} of the images", (0.25, 0.05, 0.005), collapse),
    Fault("memorised", "{:.0%} copies of the reference", (0.1, 0.5, 1.0), memorised),
)


def _fill(rows: Tensor, count: int, source: torch.Generator) -> Tensor:
    """All rows, and as many repeats of random ones as are missing."""
    more = rows[torch.randint(0, len(rows), (max(0, count - len(rows)),), generator=source)]
    return torch.cat([rows, more])[:count]


class IndependentJudge:
    """The MNIST judge of ``judge.py`` as a feature network."""

    def __init__(self) -> None:
        self.judge = independent.load_judge()

    def read(self, images: Tensor) -> Reading:
        """Features (N, 84) and probabilities (N, 10) of images (N, 1, H, W) uint8."""
        return Reading(*independent.look(self.judge, torch.split(images / 127.5 - 1, 1000)))


class Pool:
    """Real images in random order: the reference, the held-out, and fresh draws for fakes."""

    def __init__(self, name: str, count: int) -> None:
        self.data = open_data(DataConfig(source=name, split="train", folder=str(independent.data_folder() / name)))
        self.order = np.random.default_rng(seeding.derive("sensitivity", name)).permutation(len(self.data.images))
        self.count = count
        self.reference, self.held_out = self.take(0)[0], self.take(1)[0]

    def take(self, draw: int) -> tuple[Tensor, Tensor]:
        """Images (count, 1, 28, 28) and labels of draw number ``draw``; draws share no image."""
        rows = self.order[draw * self.count : (draw + 1) * self.count]
        if len(rows) < self.count or self.data.labels is None:
            raise SystemExit(f"{len(self.data.images)} labelled images are too few for draw {draw} of {self.count}")
        return self.data.rows(rows), torch.from_numpy(self.data.labels[rows])


class Bench:
    """One kind of features, with the reference and held-out images read."""

    def __init__(self, name: str, pool: Pool) -> None:
        shape = (1, *pool.reference.shape[2:])
        networks: dict[str, Callable[[], Any]] = {
            "pixels": lambda: Pixels(shape),
            "random": lambda: Random(shape, pool.reference),
            "judge": IndependentJudge,
        }
        self.name, self.network = name, networks[name]()
        self.metrics = [*ON_FEATURES, *(ON_PIXELS if name == "pixels" else ON_CLASSES if name == "judge" else ())]
        self.real, self.held_out = self.side(pool.reference), self.side(pool.held_out)

    def side(self, images: Tensor) -> Side:
        """One side of a comparison."""
        return Side(self.network.read(images), images)

    def values(self, images: Tensor) -> dict[str, float]:
        """Every value of every metric of these fakes."""
        material = Material(self.real, self.side(images), self.real.reading, self.held_out.reading)
        found: dict[str, float] = {}
        for name in self.metrics:
            for value, measured in METRICS[name].function(material).items():
                if value not in LEFT_OUT:
                    found[value] = measured.value
        return found


def cases(pool: Pool, resamples: int) -> Iterator[tuple[str, str, float, Tensor]]:
    """Name, words, strength and images of every set of fakes: first those without a fault."""
    for draw in range(resamples):
        yield "floor", f"draw {draw}", float(draw), pool.take(2 + draw)[0]
    images, labels = pool.take(2 + resamples)
    for fault in FAULTS:
        for strength in fault.strengths:
            source = seeding.generator("fault", fault.name, str(strength))
            made = fault.make(images.clone(), labels, pool.reference, strength, source)
            yield fault.name, fault.words.format(strength), strength, made


def measure(name: str, count: int, resamples: int) -> dict[str, Any]:
    """Values, floors and effects of all faults in all features."""
    pool, start = Pool(name, count), time.monotonic()
    benches = [Bench(each, pool) for each in ("pixels", "random", *(("judge",) if name == "mnist" else ()))]
    raw = [(*case[:3], {bench.name: bench.values(case[3]) for bench in benches}) for case in cases(pool, resamples)]
    floors: dict[str, dict[str, list[float]]] = {}
    for bench in benches:
        rows = [values[bench.name] for kind, _, _, values in raw if kind == "floor"]
        table = {key: torch.tensor([row[key] for row in rows], dtype=torch.float64) for key in rows[0]}
        floors[bench.name] = {key: [float(each.mean()), float(each.std())] for key, each in table.items()}
    faults = [
        {"fault": kind, "words": words, "strength": strength, "values": values, "effects": _effects(values, floors)}
        for kind, words, strength, values in raw
        if kind != "floor"
    ]
    head = {"data": name, "count": count, "resamples": resamples, "seconds": round(time.monotonic() - start)}
    return {**head, "floors": floors, "faults": faults, "unexpected": unexpected(faults)}


def _effects(values: dict[str, Any], floors: dict[str, Any]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for features, row in values.items():
        found[features] = {}
        for key, value in row.items():
            mean, spread = floors[features][key]
            found[features][key] = round((value - mean) / max(spread, 1e-9), 2)
    return found


def unexpected(faults: list[dict[str, Any]]) -> list[str]:
    """Where the strongest form of a fault is not seen, or moves a value the wrong way, one line each."""
    strongest = {row["fault"]: row for row in faults}
    found = []
    for fault, wanted in EXPECTED.items():
        for (features, value), sign in wanted.items():
            effect = strongest[fault]["effects"].get(features, {}).get(value)
            if effect is not None and effect * sign < SEEN:
                found.append(f"{fault}: {value} in {features} moves by {effect:g}, expected {sign * SEEN:+g} or beyond")
    return found


def _shown(effect: float) -> str:
    if abs(effect) < SEEN:
        return "·"
    return f"{effect:+.0f}" if abs(effect) < 1000 else f"{'+' if effect > 0 else '-'}999"


def tables(results: dict[str, Any]) -> str:
    """One Markdown table for each kind of features: effects by fault and value."""
    command = "python benchmarks/sensitivity.py"
    command += "" if results["data"] == "mnist" else f" --data {results['data']}"
    lines = [
        f"Made by `{command}`: {results['data']}, {results['count']:,} images a side, floor from "
        f"{results['resamples']} draws.",
    ]
    for features, floor in results["floors"].items():
        lines += ["", f"**In the features `{features}`:**", "", f"| fault | {' | '.join(floor)} |"]
        lines.append("|---|" + "---:|" * len(floor))
        for row in results["faults"]:
            effects = [_shown(row["effects"][features][value]) for value in floor]
            lines.append(f"| {row['words']} | {' | '.join(effects)} |")
        lines.append(f"| *real against real, mean* | {' | '.join(f'{mean:.3g}' for mean, _ in floor.values())} |")
        lines.append(f"| *its standard deviation* | {' | '.join(f'{std:.2g}' for _, std in floor.values())} |")
    return "\n".join(lines)


def write_tables(results: dict[str, Any]) -> None:
    """Put the tables between the two marks of their data on the docs page."""
    marks = (f"<!-- tables of benchmarks/sensitivity.py: {results['data']} -->", "<!-- end of tables -->")
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    before, found, rest = text.partition(marks[0])
    if found:
        _, _, after = rest.partition(marks[1])
        write_file(PAGE, f"{before}{marks[0]}\n\n{tables(results)}\n\n{marks[1]}{after}")


def main(arguments: list[str] | None = None) -> None:
    """Measure, keep the results, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("mnist", "fashion-mnist"), default="mnist")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.quick:
        options.count, options.resamples = 300, 4
    name = "sensitivity" if options.data == "mnist" else f"sensitivity-{options.data}"
    out = options.out or HERE / ("runs" if options.quick else "results") / f"{name}.json"
    if not options.table:
        torch.set_num_threads(options.threads)
        out.parent.mkdir(parents=True, exist_ok=True)
        found = measure(options.data, options.count, options.resamples)
        write_file(out, json.dumps(found, indent=1) + "\n")
    results = json.loads(out.read_text())
    print(tables(results))
    print("\n".join(["", *results["unexpected"]]) if results["unexpected"] else "\nall as expected")
    if not options.quick and not options.out:
        write_tables(results)


if __name__ == "__main__":
    main()
