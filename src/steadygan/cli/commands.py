"""What the subcommands do: call the API and print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from steadygan import api
from steadygan import recipes as book
from steadygan.cli import describing, writing
from steadygan.cli.printing import console, errors, plural, rows
from steadygan.cli.progress import Decoding, Terminal
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError, Stopped
from steadygan.recipes.facts import DataFacts
from steadygan.runtime import agreement, processes
from steadygan.session import settings
from steadygan.session.running import open_run

SCALES = {"k": 1_000, "m": 1_000_000}
"""What a letter behind a count multiplies it by."""


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``64`` or ``92x112`` (width x height) as (height, width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(part.isdecimal() for part in parts):
        raise SteadyganError(f"--image-size {text!r} is not a size", "write 64, or width x height as 92x112")
    width, height = int(parts[0]), int(parts[-1])
    return height, width


def parse_count(flag: str, text: str | None) -> int | None:
    """40000, 40k or 1.2M, as progress and reports say it, to a number. Raises SteadyganError for anything else."""
    if text is None:
        return None
    figure, scale = (text[:-1], SCALES[text[-1:].lower()]) if text[-1:].lower() in SCALES else (text, 1)
    try:
        count = Decimal(figure.replace("_", "")) * scale
        if count == int(count):
            return int(count)
    except (ArithmeticError, ValueError):
        pass
    raise SteadyganError(f"{flag} {text!r} is not a whole number", "write it as 40000, 40k or 1.2M")


def train(
    data: str,
    recipe: str,
    minutes: float | None,
    images: str | None,
    image_size: str | None,
    seed: int,
    out: Path | None,
    sicken: str,
    given: Sequence[str],
) -> None:
    """Plan, show the plan, train, and say where everything is."""
    meet()
    api.check_out(out or api.RUNS / "new")
    if minutes is not None and images is not None:
        raise SteadyganError("--minutes and --images were both given", "give one of them")
    size, length = parse_size(image_size), parse_count("--images", images)
    if minutes is not None:
        console.print("measuring this machine ...")
    decoding = Decoding()
    try:
        planned = api.plan(
            data,
            recipe=recipe,
            minutes=minutes,
            images=length,
            image_size=size,
            seed=seed,
            sicken=sicken,
            set=given,
            progress=decoding,
        )
    finally:
        decoding.stop()
    path = Path(agreement.agree(str(out or api.fresh_path(planned.config))))
    rows(describing.plan(planned, path))
    _conduct(lambda watcher: api.start(planned, path, watcher), path)


def meet() -> None:
    """Join the other processes of ``torchrun``, of which the first alone speaks."""
    processes.join()
    if not processes.leads():
        console.quiet = errors.quiet = True


def resume(run: Path) -> None:
    """Go on with a run."""
    meet()
    decoding = Decoding()

    def job(watcher: Terminal) -> api.Trained:
        try:
            return api.resume(run, watcher=watcher, progress=decoding)
        finally:
            decoding.stop()

    _conduct(job, run)


def _conduct(job: Callable[[Terminal], api.Trained], path: Path) -> None:
    watcher = Terminal(path)
    try:
        trained = job(watcher)
    except Stopped as stop:
        watcher.stop()
        console.print(f"{stop}\ngo on with: steadygan resume {path}", markup=False)
        raise
    finally:
        watcher.stop()
    console.print(f"done: {trained.images_seen:,} images seen{watcher.spent()}")
    rows(describing.made(trained))
    console.print(f"next: steadygan sample {path} --count 64 --seed 1    (new images)", markup=False)
    console.print("      steadygan train YOUR-FOLDER --minutes 30    (your own images)")


def one_form(*, grid: bool, folder: bool, npz: bool) -> str:
    """The one form of output that was asked for."""
    asked = [name for name, on in (("grid", grid), ("folder", folder), ("npz", npz)) if on]
    if len(asked) > 1:
        raise SteadyganError(f"--{asked[0]} and --{asked[1]} were both given", "give one of them")
    return asked[0] if asked else "grid"


@dataclass(frozen=True)
class Wish:
    """What samples are asked for: a class, and values of named parts of the latent."""

    label: int | None = None
    code: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The wish as a part of a file's name; empty where nothing is wished for."""
        parts = [f"-label{self.label}"] if self.label is not None else []
        return "".join([*parts, *(f"-{name}{value:g}" for name, value in self.code.items())])


def parse_code(given: Sequence[str]) -> dict[str, float]:
    """``NAME=VALUE`` pairs as a table. Raises SteadyganError for what is none."""
    code = {}
    for text in given:
        name, separator, value = text.partition("=")
        try:
            code[name.strip()] = float(value)
        except ValueError:
            separator = ""
        if not separator or not name.strip():
            raise SteadyganError(f"--code {text!r} is not name=value", "write e.g. --code category=3")
    return code


def sample(
    run: Path, count: int, seed: int, form: str, wish: Wish, out: Path | None, device: str, *, best: bool = False
) -> None:
    """Write samples as a grid, a folder or an array."""
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    trained = api.load(run, device=device, best=best)
    chunks = trained.samples(count, seed=seed, label=wish.label, code=wish.code)
    path = out or writing.default_path(trained, form, count, seed, wish.name)
    writing.WRITERS[form](path, chunks, count, trained)
    said = f"{plural(count, 'image')} of {run} (seed {seed}, {trained.images_seen:,} images seen): {path}"
    console.print(said, markup=False)


def sample_from(
    run: Path, source: str, count: int, form: str, wish: Wish, out: Path | None, device: str, *, best: bool = False
) -> None:
    """Encode images and write what the generator makes of their latents; in a grid beside the images themselves."""
    if out is not None and out.exists():
        raise SteadyganError(f"{out} exists; nothing is overwritten", "choose another --out")
    if wish.code:
        raise SteadyganError("--from and --code were both given", "give one of them")
    trained = api.load(run, device=device, best=best)
    decoding = Decoding()
    try:
        images = trained.read(source, count, progress=decoding)
    finally:
        decoding.stop()
    made = trained.bring_back(images, label=wish.label)
    name = f"-from-{Path(source).stem}{wish.name}"
    path = out or trained.path / "generated" / f"{len(images)}{name}-at{trained.images_seen}{writing.ENDINGS[form]}"
    if form == "grid":
        writing.beside(path, images, made)
    else:
        writing.WRITERS[form](path, iter([made]), len(images), trained)
    console.print(f"{plural(len(images), 'image')} of {source} brought back by {run}: {path}", markup=False)


def info(what: str, given: Sequence[str]) -> None:
    """Describe a run or a data set."""
    path = Path(what)
    if (path / "config.json").is_file():
        if given:
            raise SteadyganError(f"{what} is a run, and --set is for data", "leave --set out")
        rows(describing.run(*open_run(path)))
        return
    decoding = Decoding()
    try:
        data = open_data(settings.only_data(DataConfig(source=what), given), progress=decoding)
    finally:
        decoding.stop()
    rows(describing.data(data))
    for file, reason in data.quarantine[: describing.SHOWN]:
        console.print(f"  quarantined {file}: {reason}", markup=False)
    if len(data.quarantine) > describing.SHOWN:
        console.print(f"  ... and {len(data.quarantine) - describing.SHOWN:,} more")


def recipes(name: str | None) -> None:
    """List recipes or show one."""
    if name is None:
        rows({one: book.about(one) for one in book.RECIPES})
        console.print("auto (the default) chooses from the data; `steadygan recipes NAME` shows all settings")
        return
    about = book.about(name)
    facts = DataFacts("mnist", 57_000, (1, 28, 28), 10, DataConfig(source="mnist"))
    console.print(about, markup=False)
    console.print("its settings for 57,000 grey images of 28x28, which --set key=value changes:")
    tree = book.RECIPES[name](facts).model_dump(mode="json")
    for key, value in settings.compact(tree).items():
        if key not in settings.SETTLED:
            console.print(f"  {key.removeprefix('players.')}={settings.shown(value)}", markup=False)
