"""Random architectures: on how many networks, drawn by chance, does each objective reach usable Fashion-MNIST?

    python benchmarks/architectures.py --jobs 3            every run that the results lack
    python benchmarks/architectures.py --limit-minutes 60  begin no run after that time
    python benchmarks/architectures.py --only plain wgan-gp  these arms alone
    python benchmarks/architectures.py --quick             two minutes: few images, results not kept in the repository
    python benchmarks/architectures.py --table             write the figures into docs/robustness.md

The test of the WGAN-GP paper (Gulrajani et al. 2017), shrunk to 28x28 pixels, one thread and 32,000 images a run.
Activation, depth, width and normalisation are drawn for the generator and for the discriminator on their own. Net
number n is the same in every arm, and n is also the seed of its runs. A run is judged by a LeNet that is trained on the
real training images (kept in ``benchmarks/runs``, its accuracy in every line of the results): inception score (1 to 10)
of ``SAMPLES`` samples by its probabilities, and Fréchet distance in its 84 features to the test images.

A net succeeds where its score, counted from 1, is above ``SHARE`` of that of the reference: the recipe ``dcgan`` with
its own networks at a capacity of ``REFERENCE_CAPACITY`` and the same budget, mean of ``REFERENCES`` seeds. That share
is the paper's (5.0 of 7.24). A run is judged by the generator that steadygan hands over: the newest good one on disk,
and with health on the best one (the score of the last one stands beside it). A run that has none, or one whose samples
are not finite, fails with score 1.

One line of ``results/architectures.jsonl`` is one run. They are played net by net over all arms, so whatever is there
after any time is balanced; run folders are taken away once they are judged.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import judge as independent
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import steadygan
from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.evaluation.diversity import inception_score
from steadygan.evaluation.frechet import gaussian_statistics
from steadygan.report.jsonl import read_jsonl
from steadygan.runtime import seeding
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
WORK = HERE / "runs" / "architectures"
RESULTS = HERE / "results" / "architectures.jsonl"
PAGE = HERE.parent / "docs" / "robustness.md"
DATA = "fashion-mnist"
NETS, IMAGES, BATCH, SAMPLES, SHARE = 50, 32_000, 32, 5_000, 0.69
REFERENCES, REFERENCE_CAPACITY = 3, 16
JUDGE_IMAGES, JUDGE_SEED = 600_000, 20_260
SPACE: dict[str, tuple[Any, ...]] = {
    "activation": ("relu", "leaky-relu", "softplus-shifted", "tanh"),
    "depth": (1, 2, 4),
    "capacity": (8, 12, 16),
    "normalised": (True, False),
}
"""``depth`` layers at each of 4, 7 and 14 pixels: 4, 7 or 13 layers in all with the one at the image."""
OFF, MEND = ("health.mode=off",), ("health.mode=mend",)
FASTER = tuple(f"{player}.optimizer.learning_rate=3e-3" for player in ("generator", "discriminator"))
"""At its recipe's own 1e-4, made for runs of millions of images, WGAN-GP shows noise after this budget; this is the
best of 1e-4, 3e-4, 1e-3 and 3e-3 on a net of the reference's size (one seed)."""

Row = dict[str, Any]


class Arm(NamedTuple):
    """An objective with its own rates, the normalisation of a discriminator that has one, and further settings."""

    recipe: str
    normalisation: str
    settings: tuple[str, ...]
    meaning: str


ARMS = {
    "plain": Arm("dcgan", "batch", OFF, "non-saturating, no penalty"),
    "wgan-gp": Arm(
        "wgan-gp", "layer", (*FASTER, *OFF), "Wasserstein, gradient penalty, five steps of the discriminator"
    ),
    "default": Arm("r3", "layer", OFF, "relativistic, R1 and R2"),
    "default+health": Arm("r3", "layer", MEND, "the same, health on"),
}


class Cell(NamedTuple):
    """One run: an arm on net ``number``, or seed ``number`` of the reference."""

    arm: str
    number: int
    images: int

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.arm}/{self.number}"


def draw_net(number: int) -> dict[str, dict[str, Any]]:
    """Net ``number``: the choices for each player, independent of all other nets."""
    source = np.random.default_rng(seeding.derive("architectures", number))
    return {
        player: {name: values[int(source.integers(len(values)))] for name, values in SPACE.items()}
        for player in ("generator", "discriminator")
    }


def settings_of(cell: Cell) -> tuple[str, list[str]]:
    """The recipe of a cell and its settings; the net is the same in all arms, the rates are the recipe's own."""
    common = ["threads=1", f"batch={BATCH}", f"sample_every={cell.images}", "data.download=false"]
    if cell.arm == "reference":
        sizes = [f"{player}.network.capacity={REFERENCE_CAPACITY}" for player in ("generator", "discriminator")]
        return "dcgan", [*common, *sizes, *OFF]
    arm, changes = ARMS[cell.arm], ["latent.size=64"]
    for player, net in draw_net(cell.number).items():
        kind = "batch" if player == "generator" else arm.normalisation
        values = {
            "name": "dcgan",
            "initialisation": "he",
            "activation": net["activation"],
            "depth": net["depth"],
            "capacity": net["capacity"],
            "normalisation": kind if net["normalised"] else "none",
        }
        changes += [f"{player}.network.{name}={value}" for name, value in values.items()]
    return arm.recipe, [*common, *changes, *arm.settings]


@functools.cache
def fashion(split: str) -> DataSet:
    """Fashion-MNIST's images of a split."""
    return open_data(DataConfig(source=DATA, split=split, download=False))


def _scaled(data: DataSet, rows: Any) -> Tensor:
    return data.rows(rows).float() / 127.5 - 1


def train_judge(path: Path, images: int = JUDGE_IMAGES) -> None:
    """Teach a LeNet the training images of Fashion-MNIST, on shifted and mirrored views, and keep its weights."""
    data, source = fashion("train"), seeding.generator("fashion judge", JUDGE_SEED)
    assert data.labels is not None
    seeding.reseed("fashion judge", JUDGE_SEED)
    judge, steps = independent.Judge(), images // 128
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(data), (128,), generator=source).numpy()
        views = F.interpolate((_scaled(data, rows) + 1) / 2, (32, 32), mode="bilinear", align_corners=False)
        top, left, mirrored = (int(torch.randint(n, (), generator=source)) for n in (5, 5, 2))
        views = F.pad(views, (2, 2, 2, 2))[:, :, top : top + 32, left : left + 32]
        logits = judge.f7(judge.features(views.flip(3) if mirrored else views))
        loss = F.cross_entropy(logits, torch.from_numpy(data.labels[rows]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    torch.save(judge.state_dict(), temporary)
    temporary.replace(path)


class Jury(NamedTuple):
    """The judge with what it makes of real images."""

    judge: independent.Judge
    accuracy: float
    real_score: float
    reference: tuple[Tensor, Tensor]


@functools.cache
def jury(path: Path) -> Jury:
    """The judge kept at ``path``, measured on the test images."""
    judge, test = independent.Judge(), fashion("test")
    judge.load_state_dict(torch.load(path, weights_only=True))
    judge.eval()
    assert test.labels is not None
    features, probabilities = independent.look(judge, [_scaled(test, np.arange(len(test)))])
    right = (probabilities.argmax(1) == torch.from_numpy(test.labels)).double().mean()
    score = inception_score(probabilities[:SAMPLES]).mean
    return Jury(judge, float(right), score, gaussian_statistics(features))


def figures(trained: steadygan.Trained, found: Jury) -> Row:
    """Inception score and Fréchet distance of the samples of one generator; a failed one has score 1."""
    chunks = list(trained.samples(SAMPLES, seed=1))
    if not all(bool(chunk.isfinite().all()) for chunk in chunks):
        return {"score": 1.0, "frechet": None}
    judged = independent.figures(found.judge, chunks, found.reference)
    probabilities = independent.look(found.judge, chunks)[1]
    score = inception_score(probabilities).mean
    return {"score": round(score, 3), "frechet": judged["frechet"], "top_probability": judged["top_probability"]}


def train(
    run: Path,
    data: str,
    recipe: str,
    images: int,
    seed: int,
    settings: Sequence[str],
    image_size: tuple[int, int] | None = None,
) -> str:
    """Train a run to its end; what stopped it before that, in words. Settings that cannot be used are raised."""
    try:
        steadygan.train(data, recipe=recipe, images=images, image_size=image_size, seed=seed, out=run, set=settings)
    except SteadyganError as error:
        if error.code == 2:
            raise
        return str(error)
    return ""


def judged(run: Path, judge: Callable[[steadygan.Trained], Row], nothing: Row) -> Row:
    """What ``judge`` makes of the best generator on disk, and of the last one beside it where that is another."""
    try:
        last = judge(steadygan.load(run))
    except SteadyganError:
        last = nothing
    if not (run / "best").is_dir():
        return last
    best = judge(steadygan.load(run, best=True))
    return best | {f"last_{name}": value for name, value in last.items()}


def events(run: Path) -> dict[str, int]:
    """How many events of each kind a run has."""
    path = run / "events.jsonl"
    kinds = [str(line.get("kind")) for line in (read_jsonl(path) if path.is_file() else [])]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def play(cell: Cell, work: Path) -> Row:
    """Train one cell from the start, judge it and take its run folder away."""
    found, (recipe, settings) = jury(work / "judge.pt"), settings_of(cell)
    run, start = work / "runs" / cell.key.replace("/", "-"), time.process_time()
    shutil.rmtree(run, ignore_errors=True)
    seed = 1_000_000 + cell.number if cell.arm == "reference" else cell.number
    stopped = train(run, DATA, recipe, cell.images, seed, settings)
    seconds = round(time.process_time() - start, 1)
    with torch.inference_mode():
        row = judged(run, lambda trained: figures(trained, found), {"score": 1.0, "frechet": None})
    row |= {"seconds": seconds, "stopped": stopped, "events": events(run), "judge_accuracy": round(found.accuracy, 4)}
    shutil.rmtree(run, ignore_errors=True)
    return {"key": cell.key, "images": cell.images, **row, "real_score": round(found.real_score, 3)}


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not count:
        return 0.0, 1.0
    z, share = 1.959964, successes / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (middle - half) / (1 + z * z / count)), min(1.0, (middle + half) / (1 + z * z / count))


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p of McNemar's test: a fair coin thrown for every pair in which just one of two succeeded."""
    count, least = first_only + second_only, min(first_only, second_only)
    return min(1.0, 2.0 * sum(math.comb(count, k) for k in range(least + 1)) / 2.0**count)


def read_rows(path: Path) -> dict[str, Row]:
    """Finished runs by key; a line that a kill cut off is left out, and a later line of a key replaces the earlier."""
    return {row["key"]: row for row in (read_jsonl(path) if path.is_file() else [])}


def append(path: Path, row: Row) -> None:
    """Add one finished run; the line is flushed, and begins on a line of its own whatever a kill has left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    if cut:
        whole = path.read_bytes()
        write_file(path, whole[: whole.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _one_thread() -> None:
    torch.set_num_threads(1)


def run_all(work: Callable[[Any], Row], cells: Iterable[Any], out: Path, jobs: int, minutes: float) -> int:
    """Run cells in their order in ``jobs`` processes of one thread, keeping each row; none is begun after ``minutes``.

    Returns the number of rows kept. A fault of one cell is raised once those that run beside it are kept.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    waiting, running, kept = iter(cells), set[Future[Row]](), 0
    end, faults = time.monotonic() + 60 * minutes, list[BaseException]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
        while True:
            while len(running) < jobs and not faults and time.monotonic() < end:
                cell = next(waiting, None)
                if cell is None:
                    break
                running.add(pool.submit(work, cell))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                if (fault := future.exception()) is not None:
                    faults.append(fault)
                    continue
                append(out, future.result())
                kept += 1
                print(json.dumps(future.result()), flush=True)
    if faults:
        raise faults[0]
    return kept


def cells(options: argparse.Namespace) -> list[Cell]:
    """The reference, then net by net every arm."""
    references = [Cell("reference", seed, options.images) for seed in range(REFERENCES)]
    return references + [Cell(arm, net, options.images) for net in range(options.nets) for arm in ARMS]


def threshold(rows: Mapping[str, Row]) -> float:
    """The score that counts as success: ``SHARE`` of the reference's, both counted from 1."""
    scores = [float(row["score"]) for key, row in rows.items() if key.startswith("reference/")]
    return 1 + SHARE * (mean(scores) - 1)


def balanced(rows: Mapping[str, Row]) -> list[int]:
    """Numbers of the nets that every arm has played."""
    numbers = sorted({int(key.rpartition("/")[2]) for key in rows if not key.startswith("reference/")})
    return [number for number in numbers if all(f"{arm}/{number}" in rows for arm in ARMS)]


def table(rows: Mapping[str, Row]) -> str:
    """Successes of every arm with their intervals, then the pairs, as Markdown."""
    nets, least = balanced(rows), threshold(rows)
    wins = {arm: [rows[f"{arm}/{net}"]["score"] > least for net in nets] for arm in ARMS}
    lines = ["| arm | objective | successes | share | 95 % interval | median score | CPU seconds a run |"]
    lines.append("|---|---|---|---|---|---|---|")
    for arm, won in wins.items():
        own, (low, high) = [rows[f"{arm}/{net}"] for net in nets], wilson(sum(won), len(won))
        shares = f"{sum(won)} of {len(won)} | {sum(won) / len(won):.1%} | {low:.1%} to {high:.1%}"
        seconds, score = (median(row[name] for row in own) for name in ("seconds", "score"))
        lines.append(f"| `{arm}` | {ARMS[arm].meaning} | {shares} | {score:.2f} | {seconds:.0f} |")
    lines += ["", "| health on against | only with health | only the other | exact p |", "|---|---|---|---|"]
    treated = wins["default+health"]
    for arm in [name for name in ARMS if name != "default+health"]:
        only = [
            sum(a and not b for a, b in zip(*pair, strict=True))
            for pair in ((treated, wins[arm]), (wins[arm], treated))
        ]
        lines.append(f"| `{arm}` | {only[0]} | {only[1]} | {mcnemar(*only):.2g} |")
    return "\n".join([*lines, "", *remarks(rows, nets, least)])


def remarks(rows: Mapping[str, Row], nets: Sequence[int], least: float) -> list[str]:
    """What the figures rest on: the reference, the judge, and the health arm without its choice of the best."""
    references = [row for key, row in rows.items() if key.startswith("reference/")]
    scores = ", ".join(f"{row['score']:.2f}" for row in references)
    own = [rows[f"default+health/{net}"] for net in nets]
    last = sum(float(row["last_score" if "last_score" in row else "score"]) > least for row in own)
    real, accuracy = references[0]["real_score"], references[0]["judge_accuracy"]
    return [
        f"Success is a score above {least:.2f}. The reference scores {scores}; {SAMPLES:,} real test images score "
        f"{real:.2f} by this judge, which is right on {accuracy:.1%} of them. Judged by their last generator instead "
        f"of the best one on disk, {last} of {len(own)} runs with health on succeed.",
    ]


def write_table(page: Path, name: str, text: str) -> None:
    """Put a table between the two marks of benchmark ``name`` on a page."""
    marks = f"<!-- figures of benchmarks/{name}.py -->", f"<!-- end of {name}.py -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, _, after = rest.partition(marks[1])
    write_file(page, f"{before}{marks[0]}\n\n{text}\n\n{marks[1]}{after}")


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The command line that both benchmarks of robustness share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--limit-minutes", type=float, default=math.inf, help="begin no run after this time")
    parser.add_argument("--only", nargs="+", metavar="ARM", help="play these arms alone")
    parser.add_argument("--out", type=Path, help="another file for the results")
    parser.add_argument("--quick", action="store_true", help="a short form that keeps nothing in the repository")
    parser.add_argument("--table", action="store_true", help="write the figures into the docs page, and run nothing")
    return parser


def options_from(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--nets", type=int, default=NETS)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args(arguments)
    options.work, options.judge_images = WORK, JUDGE_IMAGES
    if options.quick:
        options.work, options.judge_images = WORK / "quick", 30_000
        options.nets, options.images = 2, 2_000
        shutil.rmtree(options.work, ignore_errors=True)
    options.out = options.out or (options.work / "results.jsonl" if options.quick else RESULTS)
    return options


def asked(arm: str, only: Sequence[str] | None) -> bool:
    """Whether the command line asks for an arm."""
    return not only or arm in only


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, or write the table."""
    options = options_from(arguments)
    if options.table:
        write_table(PAGE, "architectures", table(read_rows(options.out)))
        return
    torch.set_num_threads(1)
    if not (options.work / "judge.pt").is_file():
        train_judge(options.work / "judge.pt", options.judge_images)
    done = {key for key, row in read_rows(options.out).items() if row["images"] == options.images}
    missing = [
        cell
        for cell in cells(options)
        if cell.key not in done and (cell.arm == "reference" or asked(cell.arm, options.only))
    ]
    run_all(functools.partial(play, work=options.work), missing, options.out, options.jobs, options.limit_minutes)
    rows = read_rows(options.out)
    if balanced(rows):
        print(table(rows))


if __name__ == "__main__":
    main()
