"""What does ``steadygan explain`` find, and is it more than chance?

    python benchmarks/explain.py              trains two runs on MNIST and explains them: ten minutes on one thread
    python benchmarks/explain.py --table      only the tables and pictures, from the results that are there
    python benchmarks/explain.py --quick      a minute; keeps nothing in the repository

A run of the recipe ``dcgan`` with 300,000 images, and one that is shown the same 30 again and again, so that it learns
them by heart. Goals: at least one direction moves slant or thickness with a rank correlation of .8 or more in size
while nine of ten images keep their class, also by the independent judge; units of a class take it away more often than
random units; integrated gradients are complete to a twentieth; the run that knows 30 images by heart is told from the
other.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import judge as independent
import torch
from torch import Tensor

import steadygan
from steadygan import api
from steadygan.interpretability import effects
from steadygan.report.pictures import grid, save_png
from steadygan.session.explain_figures import heated, rows_of
from steadygan.session.explain_writing import write
from steadygan.session.explained import Explanation

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "explain.json"
IMAGES = HERE.parent / "docs" / "images"
CELLS: dict[str, dict[str, Any]] = {
    "all images": {"images": 300_000, "set": ["threads=1"]},
    "30 images": {"images": 50_000, "sicken": "small-data:severe", "set": ["threads=1", "health.mode=watch"]},
}
KEPT, STEADY, COMPLETE = 0.9, 0.8, 0.05


def independent_classes(judge: independent.Judge, images: Tensor) -> Tensor:
    """Classes by a judge that had no part in finding anything."""
    return independent.look(judge, images.split(256))[1]


def kept_by_other(found: Explanation, trained: api.Trained, one: effects.Effect, judge: independent.Judge) -> float:
    """Share of images within reach that keep their class by the independent judge."""
    from steadygan.session.subject import Subject

    latents, label = Subject(trained).latents(48, "directions")
    images = effects.walk(trained.generator, one.direction, latents, label, one.steps)
    seen = independent_classes(judge, images.flatten(0, 1)).view(len(latents), len(one.steps), -1)
    start = seen[:, one.steps.index(0.0)]
    sure = start.amax(1) >= effects.SURE
    same = (seen.argmax(2) == start.argmax(1, keepdim=True)).double()[sure]
    return float(same[:, [i for i, step in enumerate(one.steps) if step]].mean())


def effect_figures(one: effects.Effect, trait: str) -> dict[str, Any]:
    """A direction's effect on one trait as plain numbers."""
    return {
        "direction": one.direction.name,
        "correlation": one.correlation[trait],
        "change": one.change[trait],
        "deviations": one.relative[trait],
        "kept": one.kept,
        "reach": one.reach,
    }


def figures(found: Explanation, trained: api.Trained, seconds: float) -> dict[str, Any]:
    """All numbers of an explanation that the tables need."""
    judge = independent.load_judge()
    assert found.directions is not None
    assert found.dissected is not None
    assert found.reached is not None
    known, gap = found.directions, found.reached.gap
    units = found.dissected.units
    return {
        "images_seen": found.images_seen,
        "processor_seconds": seconds,
        "parts": found.seconds,
        "directions": {
            trait: {
                "best": effect_figures(walk.effect, trait)
                | {"kept by the independent judge": kept_by_other(found, trained, walk.effect, judge)},
                "alone": effect_figures(known.alone[trait], trait)
                | {"kept by the independent judge": kept_by_other(found, trained, known.alone[trait], judge)},
                "random": effect_figures(known.null[trait].effect, trait),
            }
            for trait, walk in known.walks.items()
        },
        "units": {
            name: sum(getattr(one, name) for one in units) / len(units)
            for name in ("off", "off_chance", "insert", "insert_chance")
        },
        "inversion": {
            "train": float(found.reached.train.error.mean()),
            "own": float(found.reached.fakes.mean()),
            "gap": None if gap is None else {"held_out": gap.held_out, "easier": gap.easier, "error": gap.error},
            "memorised": None if gap is None else gap.memorised,
        },
        "accuracy": found.accuracy,
        "discriminator": {
            name: {
                "completeness": float(one.error.median()),
                "likeness": one.likeness,
                "deletion": {way: course.area for way, course in one.deletion.items()},
                "insertion": {way: course.area for way, course in one.insertion.items()},
            }
            for name, one in found.looks.items()
        },
        "firmness": {name: {"sizes": one.sizes, "many": one.many} for name, one in found.endurance.items()},
        "mixing": found.map.atlas.mixing if found.map else None,
    }


def pictures(found: Explanation) -> None:
    """The pictures of the page on interpretability."""
    assert found.directions is not None
    assert found.dissected is not None
    assert found.reached is not None
    slant = found.directions.walks["slant"].images
    null = found.directions.null["slant"].images
    both = torch.cat([slant[:3], null[:3]], 1).flatten(0, 1)
    save_png(IMAGES / "explain-slant.png", grid(both, columns=2 * slant.shape[1], scale=2))
    if found.dissected.shown is not None:
        shown = found.dissected.shown
        save_png(IMAGES / "explain-units.png", grid(shown.flatten(0, 1), columns=shown.shape[1], scale=2))
    hardest = found.reached.hardest
    save_png(IMAGES / "explain-hardest.png", grid(torch.cat(hardest), columns=len(hardest[0]), scale=2))
    look = found.looks["real"]
    rows = rows_of(
        look.images[:8], heated(look.images[:8], look.integrated[:8]), heated(look.images[:8], look.occluded[:8])
    )
    save_png(IMAGES / "explain-discriminator.png", grid(rows, columns=8, scale=2))


def cell(name: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Train one run and explain it."""
    path = folder / name.replace(" ", "-")
    if not (path / "samples.png").is_file():
        steadygan.train("mnist", recipe="dcgan", out=path, **CELLS[name] | ({"images": 5_000} if quick else {}))
    start = time.process_time()  # not the clock on the wall: a busy machine would decide it
    found = api.explain(path)
    write(found, path / "explain.html")
    seconds = time.process_time() - start
    if not quick and name == "all images":
        pictures(found)
    return figures(found, api.load(path), seconds)


def table(results: dict[str, Any]) -> list[str]:
    """The tables of the page, in Markdown."""
    lines = ["| run | trait | found by | change | rank correlation | class kept | by the independent judge |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, one in results.items():
        for trait in ("slant", "thickness"):
            for way in ("best", "alone", "random"):
                each = one["directions"][trait][way]
                other = each.get("kept by the independent judge")
                cells = [name, trait, f"{way}: {each['direction']}", f"{each['deviations']:+.1f} deviations"]
                cells += [
                    f"{each['correlation']:+.2f}",
                    f"{each['kept']:.0%}",
                    "–" if other is None else f"{other:.0%}",
                ]
                lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| run | error of training images | of held-out ones | training image nearer | own images | told |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, one in results.items():
        known, gap = one["inversion"], one["inversion"]["gap"]
        cells = [name, f"{known['train']:.3f}", f"{gap['held_out']:.3f}", f"{gap['easier']:.0%} ± {gap['error']:.0%}"]
        cells += [f"{known['own']:.3f}", "learned by heart" if known["memorised"] else "no sign of copying"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| run | class lost without its units | random units | class gained with them | random units |"]
    lines += ["|---|---|---|---|---|"]
    for name, one in results.items():
        shares = (one["units"][key] for key in ("off", "off_chance", "insert", "insert_chance"))
        lines.append(f"| {name} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return lines


def goals(results: dict[str, Any]) -> list[str]:
    """What is not reached; empty where everything is."""
    missed = []
    for name in [name for name in results if name != "30 images"]:
        one = results[name]
        ways = [one["directions"][trait][way] for trait in ("slant", "thickness") for way in ("best", "alone")]
        other = "kept by the independent judge"
        if not any(abs(w["correlation"]) >= STEADY and w["kept"] >= KEPT and w[other] >= KEPT for w in ways):
            missed.append(f"{name}: no direction moves slant or thickness and keeps the class")
        if one["units"]["off"] <= one["units"]["off_chance"]:
            missed.append(f"{name}: units of a class are no better than random ones")
        if max(side["completeness"] for side in one["discriminator"].values()) > COMPLETE:
            missed.append(f"{name}: integrated gradients are not complete")
        if one["inversion"]["memorised"]:
            missed.append(f"{name}: taken for one that copies")
    missed += [f"{name}: not measured yet" for name in CELLS if name not in results]
    if "30 images" in results and not results["30 images"]["inversion"]["memorised"]:
        missed.append("30 images: not seen that they are known by heart")
    return missed


def main() -> None:
    """Run what is missing, then print the tables and the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only the tables")
    parser.add_argument("--quick", action="store_true", help="short runs that keep nothing")
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    if RESULTS.is_file() and not asked.quick:
        results = json.loads(RESULTS.read_text())
    folder = HERE / "runs" / ("explain-quick" if asked.quick else "explain")
    for name in CELLS:
        if name not in results and not asked.table:
            print(f"{name} ...", flush=True)
            results[name] = cell(name, folder, quick=asked.quick)
            if not asked.quick:
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(table(results)))
    missed = goals(results)
    print("\n".join(missed) or "all goals reached")


if __name__ == "__main__":
    main()
