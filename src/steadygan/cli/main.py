"""The command ``steadygan``. Nothing heavy is imported before it is known what is asked."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import DisallowNone, FlagCreatePairsOff, Positional, UseAppendAction, arg

from steadygan import __version__
from steadygan.cli.refusal import refusal
from steadygan.errors import SteadyganError, Stopped

Data = Annotated[str, arg(metavar="DATA", help_behavior_hint="")]
Run = Annotated[Path, arg(metavar="RUN", help_behavior_hint="")]
Settings = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE", help_behavior_hint="")]


def _shown(metavar: str) -> Any:
    return arg(metavar=metavar, help_behavior_hint="")


def train(
    data: Positional[Data],
    /,
    *,
    recipe: Annotated[str, arg(metavar="NAME")] = "auto",
    minutes: Annotated[float | None, _shown("M")] = None,
    images: Annotated[str | None, _shown("N|40k|1.2M")] = None,
    image_size: Annotated[str | None, _shown("64|92x112")] = None,
    seed: Annotated[int, arg(metavar="S")] = 0,
    out: Annotated[Path | None, _shown("RUN")] = None,
    threads: Annotated[int, _shown("N")] = 0,
    keep: Annotated[int, _shown("N")] = 0,
    save_every: Annotated[int, _shown("N")] = 0,
    health: Annotated[str, arg(metavar="mend|watch|off", help_behavior_hint="")] = "",
    sicken: Annotated[str, arg(metavar="ILLNESS[:SEVERITY]", help_behavior_hint="")] = "",
    set: Settings = (),  # noqa: A002 - the flag's name
) -> None:
    """Train a GAN on DATA.

    Args:
        data: digits, mnist, fashion-mnist, cifar10, or a folder or zip of images, shards (.tar), .npy or .npz
        recipe: one that `steadygan recipes` lists; auto chooses from the data
        minutes: how long it may take; size and length are planned to fit
        images: length in real images seen, instead of minutes
        image_size: size in pixels: one number for a square, or width x height
        seed: the same seed, data, settings and machine give the same run
        out: folder for the run, new or empty; without it one under runs/ is named for you
        threads: CPU threads; without it the idle cores are counted, with --minutes tried out
        keep: newest checkpoints that are kept; without it 3
        save_every: images between checkpoints that are kept for ever; without it none
        health: mend what goes wrong (the usual), watch and only tell of it, or off
        sicken: make the run ill on purpose, e.g. no-penalty:mild; `steadygan illnesses` lists them
        set: any setting, e.g. batch=128 or generator.network.capacity=48; may be given again and again
    """
    from steadygan.cli import commands

    flags = {"threads": threads, "keep": keep, "milestones": save_every, "health.mode": health}
    given = (*(f"{key}={value}" for key, value in flags.items() if value), *set)
    commands.train(data, recipe, minutes, images, image_size, seed, out, sicken, given)


def resume(run: Positional[Run], /) -> None:
    """Go on with a run that was stopped, exactly as if it had not been.

    Args:
        run: the run's folder
    """
    from steadygan.cli import commands

    commands.resume(run)


def sample(
    run: Positional[Run],
    /,
    *,
    count: Annotated[int, arg(metavar="N")] = 64,
    seed: Annotated[int, arg(metavar="S")] = 0,
    grid: Annotated[bool, arg(help_behavior_hint="")] = False,
    folder: Annotated[bool, arg(help_behavior_hint="")] = False,
    npz: Annotated[bool, arg(help_behavior_hint="")] = False,
    label: Annotated[int | None, _shown("K")] = None,
    code: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE", help_behavior_hint="")] = (),
    from_: Annotated[str | None, arg(name="from", metavar="IMAGES", help_behavior_hint="")] = None,
    best: Annotated[bool, arg(help_behavior_hint="")] = False,
    out: Annotated[Path | None, _shown("PATH")] = None,
    device: Annotated[str, arg(metavar="NAME")] = "cpu",
) -> None:
    """Make images with a run's averaged generator.

    Args:
        run: the run's folder
        count: how many
        seed: which ones; image i of a seed is always the same
        grid: one picture of all of them; this is what you get where nothing is said
        folder: one PNG file each
        npz: one file with an array `images` (N, H, W, C), uint8
        label: the class, where the run is class-conditional
        code: named parts of the latent, where the run has any, e.g. category=3 value1=0.5
        from_: an image, or a folder or zip of them, that is encoded and made anew, where the run has an encoder
        best: from the average that health found best, instead of the last one
        out: where to write, a name that is not taken yet; without it inside the run, under generated/
        device: cpu, cuda or auto
    """
    from steadygan.cli import commands

    form = commands.one_form(grid=grid, folder=folder, npz=npz)
    wish = commands.Wish(label, commands.parse_code(code))
    if from_ is None:
        commands.sample(run, count, seed, form, wish, out, device, best=best)
    else:
        commands.sample_from(run, from_, count, form, wish, out, device, best=best)


def evaluate(
    samples: Annotated[Positional[str], arg(metavar="RUN|FOLDER|SAMPLES.NPZ", help_behavior_hint="")],
    /,
    *,
    against: Annotated[str | None, _shown("DATA")] = None,
    metrics: Annotated[str, arg(metavar="NAME,NAME")] = "fid,kid,prdc",
    features: Annotated[str, arg(metavar="NAME|NAME:FILE")] = "judge",
    count: Annotated[int | None, _shown("N")] = None,
    seeds: Annotated[int, arg(metavar="K")] = 3,
    device: Annotated[str, arg(metavar="NAME")] = "cpu",
    set: Settings = (),  # noqa: A002 - the flag's name
) -> None:
    """Measure fakes against real images.

    Args:
        samples: a run's folder, or a folder or zip of images, or an .npy or .npz file
        against: the real images, as DATA for train; without it the data of the run
        metrics: names joined by commas, or all; the page on evaluation lists them
        features: judge, inception, dino, random or pixels; NAME:FILE takes weights from a file
        count: how many fakes; without it half as many as there are reals, at most 10,000
        seeds: how often fakes are drawn and measured
        device: cpu, cuda or auto
        set: data settings of the reals, e.g. data.split=test
    """
    from steadygan.cli import measuring

    measuring.evaluate(samples, against, metrics, features, count, seeds, device, set)


def compare(
    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Path | None, _shown("PNG")] = None,
) -> None:
    """Put runs side by side with a picture of their samples.

    Args:
        runs: folders of two or more runs
        out: the picture, a name that is not taken yet; without it one under runs/
    """
    from steadygan.cli import measuring

    measuring.compare(runs, out)


def diagnose(
    record: Annotated[Positional[Path], arg(metavar="RUN|FILE", help_behavior_hint="")],
    /,
    *,
    total: Annotated[int, _shown("N")] = 0,
) -> None:
    """Say what went wrong in a run, from its records.

    Args:
        record: a run's folder, or a record of another program: a .csv or .jsonl file with a column for each figure
        total: length of the run in images, where the file does not say it
    """
    from steadygan.cli import diagnosing

    diagnosing.diagnose(record, total)


def report(
    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN", help_behavior_hint="")],
    /,
    *,
    out: Annotated[Path | None, _shown("FILE")] = None,
) -> None:
    """Write a page about a run that anyone can read, or one that puts several side by side.

    Args:
        runs: folders of one or more runs
        out: the page, a name not taken yet; without it report.html in the run, or one beside the first of several
    """
    from steadygan.cli import measuring

    measuring.report(runs, out)


def explain(
    run: Positional[Run],
    /,
    *,
    seed: Annotated[int, arg(metavar="S")] = 0,
    best: Annotated[bool, arg(help_behavior_hint="")] = False,
    out: Annotated[Path | None, _shown("FILE")] = None,
    device: Annotated[str, arg(metavar="NAME")] = "cpu",
) -> None:
    """Write a page on what the networks of a run have learned.

    Args:
        run: the run's folder
        seed: of all draws; the same seed gives the same figures
        best: explain the average that health found best, instead of the last one
        out: the page, a name not taken yet; without it explain.html in the run
        device: cpu, cuda or auto
    """
    from steadygan.cli import explaining

    explaining.explain(run, out, seed, device, best=best)


def illnesses(name: Annotated[Positional[str | None], _shown("[NAME]")] = None, /) -> None:
    """List what `train --sicken` can put into a run, or show one.

    Args:
        name: the illness to show
    """
    from steadygan.cli import diagnosing

    diagnosing.illnesses(name)


def info(
    what: Annotated[Positional[str], arg(metavar="RUN|DATA", help_behavior_hint="")],
    /,
    *,
    set: Settings = (),  # noqa: A002 - the flag's name
) -> None:
    """Say what a run or a data set is.

    Args:
        what: a run's folder, or DATA as for train
        set: data settings, e.g. data.fit=pad
    """
    from steadygan.cli import commands

    commands.info(what, set)


def watch(
    folder: Annotated[Positional[Path], arg(metavar="RUNS", help_behavior_hint="")],
    /,
    *,
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, arg(metavar="N")] = 8765,
    read_only: Annotated[bool, arg(help_behavior_hint="")] = False,
) -> None:
    """Serve a live page on which runs can be looked at and steered.

    Args:
        folder: one that holds runs, or a run's own
        host: the address to listen on; 0.0.0.0 lets other machines look
        port: where to listen; 0 takes any that is free
        read_only: let nobody take part
    """
    from steadygan.cli import watching

    watching.watch(folder, host, port, read_only=read_only)


def explore(
    run: Positional[Run],
    /,
    *,
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, arg(metavar="N")] = 8765,
) -> None:
    """Serve a page on which a run's samples can be moved about.

    Args:
        run: the run's folder
        host: the address to listen on; 0.0.0.0 lets other machines look
        port: where to listen; 0 takes any that is free
    """
    from steadygan.cli import exploring

    exploring.explore(run, host, port)


def bench(
    *,
    recipe: Annotated[tuple[str, ...], arg(metavar="NAME ...", help_behavior_hint="")] = (),
    batch: Annotated[tuple[int, ...], arg(metavar="N ...", help_behavior_hint="")] = (64, 256),
    threads: Annotated[tuple[int, ...], arg(metavar="N ...", help_behavior_hint="")] = (),
    image_size: Annotated[str, arg(metavar="64|92x112")] = "28",
    channels: Annotated[int, arg(metavar="N")] = 1,
    capacity: Annotated[int, arg(metavar="N", help_behavior_hint="")] = 0,
    minutes: Annotated[float, arg(metavar="M")] = 2.0,
    device: Annotated[str, arg(metavar="NAME")] = "auto",
    precision: Annotated[str, arg(metavar="NAME")] = "auto",
    out: Annotated[Path | None, _shown("FILE")] = None,
) -> None:
    """Measure what this machine can do and how near the rounds of networks come to it.

    Args:
        recipe: which; without it dcgan, sngan, r3 and style
        batch: batch sizes
        threads: numbers of CPU threads; without it as many as there are idle cores
        image_size: size in pixels: one number for a square, or width x height
        channels: of the images
        capacity: width of all networks; without it the recipes' own
        minutes: how long all of it should take
        device: cpu, cuda or auto
        precision: float32, bfloat16, float64 or auto
        out: all figures as JSON, a name that is not taken yet
    """
    from steadygan.cli import benching

    benching.bench(recipe, batch, threads, image_size, channels, capacity, minutes, device, precision, out)


def recipes(name: Annotated[Positional[str | None], _shown("[NAME]")] = None, /) -> None:
    """List the recipes, or show one with all its settings.

    Args:
        name: the recipe to show
    """
    from steadygan.cli import commands

    commands.recipes(name)


COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "resume": resume,
    "sample": sample,
    "evaluate": evaluate,
    "compare": compare,
    "diagnose": diagnose,
    "report": report,
    "explain": explain,
    "illnesses": illnesses,
    "watch": watch,
    "explore": explore,
    "info": info,
    "recipes": recipes,
    "bench": bench,
}


def _held(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """``command`` with the same signature, returning what is to be called instead of calling it."""

    @functools.wraps(command)
    def hold(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return functools.partial(command, *args, **kwargs)

    return hold


def parse(arguments: Sequence[str]) -> Callable[[], None]:
    """What the arguments ask for, ready to be called.

    Raises:
        SteadyganError: for arguments that cannot be understood.
        SystemExit: after help was printed.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise refusal(arguments, COMMANDS)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            job: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                {name: _held(command) for name, command in COMMANDS.items()},
                prog="steadygan",
                description=f"Train generative adversarial networks without babysitting (version {__version__}).",
                args=arguments,
                config=(DisallowNone, FlagCreatePairsOff),
            )
            return job
    except SystemExit as leave:
        if not leave.code:
            raise
        raise refusal(arguments, COMMANDS, said.getvalue()) from None


def _said(error: SteadyganError) -> bool:
    """Whether another process of the same run says this already."""
    agreement = sys.modules.get("steadygan.runtime.agreement")
    return agreement is not None and bool(agreement.said(error))


def main() -> None:
    """Parse and call; faults that a person can mend end as one line and a status."""
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"steadygan {__version__}")
            return
        parse(sys.argv[1:])()
        sys.stdout.flush()
    except SteadyganError as error:
        if not _said(error):
            print(f"steadygan: {error}", file=sys.stderr, flush=True)
        sys.exit(error.code)
    except Stopped as stop:
        sys.exit(stop.code)
    except KeyboardInterrupt:
        print("steadygan: stopped at once; resume goes on from the last checkpoint", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # whoever read the output has left, as `| head` does; nothing more can be said to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
