"""Pictures of illnesses: samples of a run that was left alone and of one that was treated, and the course of both.

    python benchmarks/gallery.py --jobs 4               everything that is missing, then the pictures
    python benchmarks/gallery.py --only collapse        one illness
    python benchmarks/gallery.py --fresh                everything anew, as after a change of health

Every illness at medium severity on the 8x8 digits, seed 7, as the ward plays it there (``dcgan``, or ``digits`` where
penalties are needed): one run untreated (``health.mode=watch``), one treated (``mend``), and one healthy run, all with
40 check-ups. The untreated run is shown by its last average and the treated one by its best, since that is what the
two leave to their owner. The pictures go to ``docs/images/health``, one an illness; the page that shows them is filled
again by ``python tools/health_page.py``. What the treated run of one illness said is put into the pages that quote it.
Runs stay in ``benchmarks/runs/gallery``, and a stopped gallery goes on where it was.
"""

from __future__ import annotations

import os

# Before torch is imported, here and in every process that this one starts.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import gallery_pictures
import torch
from ward_cells import SETTINGS, WARD

import steadygan
from steadygan import api
from steadygan.errors import SteadyganError
from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
WORK, PICTURES = HERE / "runs" / "gallery", HERE.parent / "docs" / "images" / "health"
SEED, SEVERITY, CHECK_UPS = 7, 2, 40
QUOTED, QUOTES = "rate-drift", (HERE.parent / "README.md", HERE.parent / "docs" / "index.md")
"""The illness whose story is told on the first pages, and the pages."""
DONE = "gallery.json"
"""What a run that came to its end holds; a folder without it is begun anew."""


class Cell(NamedTuple):
    """One run; ``illness`` is empty where it is healthy."""

    setting: str
    illness: str = ""
    mode: str = "watch"

    @property
    def path(self) -> Path:
        """Where its folder is."""
        return WORK / f"{self.setting}-{self.illness or 'healthy'}-{self.mode}"


def setting_of(illness: str) -> str:
    """The setting of the digits that an illness is shown on: dcgan, or one with penalties where it needs them."""
    settings = WARD[illness][0]
    return "digits-dcgan" if "digits-dcgan" in settings else "digits-digits"


def cells(illnesses: Sequence[str]) -> list[Cell]:
    """The runs that the pictures of some illnesses need, the healthy ones first."""
    ill = [Cell(setting_of(name), name, mode) for name in illnesses for mode in ("watch", "mend")]
    return [*dict.fromkeys(Cell(cell.setting) for cell in ill), *ill]


def done(cell: Cell) -> bool:
    """Whether a run came to its end, or to its death."""
    return (cell.path / DONE).is_file()


def play(cell: Cell) -> str:
    """Train one run; the words of its death, or an empty string."""
    torch.set_num_threads(1)
    shutil.rmtree(cell.path, ignore_errors=True)
    setting = SETTINGS[cell.setting]
    every = max(1, setting.images // CHECK_UPS)
    given = ("threads=1", "sample_count=16", f"health.mode={cell.mode}", f"health.every={every}")
    sicken = f"{cell.illness}:{SEVERITY}" if cell.illness else ""
    died = ""
    try:
        planned = api.plan(
            setting.data,
            recipe=setting.recipe,
            images=setting.images,
            seed=SEED,
            sicken=sicken,
            set=[*given, *setting.settings],
        )
        api.start(planned, cell.path)
    except SteadyganError as error:
        died = str(error)
    cell.path.mkdir(parents=True, exist_ok=True)
    write_file(cell.path / DONE, json.dumps({"died": died}).encode())
    return died


def conduct(wanted: Sequence[Cell], jobs: int) -> None:
    """Play the cells that are missing."""
    missing = [cell for cell in wanted if not done(cell)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {pool.submit(play, cell): cell for cell in missing}
        for future in as_completed(running):
            print(f"{running[future].path.name}: {future.result() or 'done'}", flush=True)


def shown(cell: Cell, words: str, colour: str, *, best: bool = False) -> gallery_pictures.Shown:
    """What a picture shows of a run."""
    try:
        images = steadygan.load(cell.path, best=best).sample(gallery_pictures.TILES, seed=1)
    except SteadyganError:
        images = None
    return gallery_pictures.Shown(cell.path, words, colour, images)


def picture(illness: str) -> bytes:
    """The picture of an illness as a PNG, from its three runs."""
    setting = setting_of(illness)
    return gallery_pictures.draw(
        illness,
        shown(Cell(setting), "healthy", gallery_pictures.HEALTHY),
        shown(Cell(setting, illness, "watch"), "untreated", gallery_pictures.UNTREATED),
        shown(Cell(setting, illness, "mend"), "treated", gallery_pictures.TREATED, best=True),
    )


def quote(text: str, lines: Sequence[str]) -> str:
    """A page with ``lines`` in the place of what it quotes now."""
    first, last = "<!-- said -->\n", "\n<!-- end of said -->"
    before, _, rest = text.partition(first)
    if last not in rest:
        raise SteadyganError("a page has no place for what is quoted", f"write {first.strip()} and {last.strip()}")
    shown = "\n".join(["```text", *lines, "```"])
    return f"{before}{first}\n{shown}\n{rest[rest.index(last) :]}"


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing and draw; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--only", nargs="*", metavar="ILLNESS", choices=tuple(WARD), default=())
    parser.add_argument("--fresh", action="store_true", help="train again what is there already")
    options = parser.parse_args(arguments)
    names = list(options.only) or list(WARD)
    wanted = cells(names)
    for cell in wanted if options.fresh else ():
        shutil.rmtree(cell.path, ignore_errors=True)
    conduct(wanted, options.jobs)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_file(PICTURES / f"{name}.png", picture(name))
        print(f"{PICTURES / name}.png", flush=True)
    if QUOTED in names:
        said = gallery_pictures.said(Cell(setting_of(QUOTED), QUOTED, "mend").path)
        for page in QUOTES:
            write_file(page, quote(page.read_text(encoding="utf-8"), said).encode())
    print("now fill the page again: python tools/health_page.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
