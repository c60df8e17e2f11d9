"""The command ``steadygan``. Nothing heavy is imported before it is known what is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction, arg

from steadygan.errors import SteadyganError, Stopped

Settings = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE")]


def train(
    data: Positional[str],
    /,
    *,
    recipe: str = "auto",
    minutes: float | None = None,
    images: int | None = None,
    image_size: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    threads: int = 0,
    set: Settings = (),  # noqa: A002 - the flag's name
) -> None:
    """Train a GAN on DATA.

    Args:
        data: digits, mnist, fashion-mnist, cifar10, or a folder or zip of images, or an .npy or .npz file
        recipe: a name that `steadygan recipes` lists; auto chooses from the data
        minutes: how long it may take; size and length are planned to fit
        images: length in real images seen, instead of minutes
        image_size: 64, or width x height as 92x112
        seed: the same seed gives the same run
        out: folder for the run, new or empty
        threads: CPU threads; 0 measures and chooses
        set: any setting as key=value, may be given again and again
    """
    from steadygan.cli import commands

    given = (*set, f"threads={threads}") if threads else set
    commands.train(data, recipe, minutes, images, image_size, seed, out, given)


def resume(run: Positional[Path], /) -> None:
    """Go on with a run that was stopped, exactly as if it had not been.

    Args:
        run: the run's folder
    """
    from steadygan.cli import commands

    commands.resume(run)


def sample(
    run: Positional[Path],
    /,
    *,
    count: int = 64,
    seed: int = 0,
    grid: bool = False,
    folder: bool = False,
    npz: bool = False,
    label: int | None = None,
    out: Path | None = None,
    device: str = "cpu",
) -> None:
    """Make images with a run's averaged generator.

    Args:
        run: the run's folder
        count: how many
        seed: image i of a seed is always the same
        grid: one picture of all (the default)
        folder: a PNG each
        npz: one file with an array `images` (N, H, W, C), uint8
        label: the class, where the run is class-conditional
        out: where to write; the default is inside the run
        device: cpu or cuda
    """
    from steadygan.cli import commands

    commands.sample(run, count, seed, commands.one_form(grid=grid, folder=folder, npz=npz), label, out, device)


def info(what: Positional[str], /, *, set: Settings = ()) -> None:  # noqa: A002
    """Say what a run or a data set is.

    Args:
        what: a run's folder, or DATA as for train
        set: data settings as key=value, e.g. data.fit=pad
    """
    from steadygan.cli import commands

    commands.info(what, set)


def recipes(name: Positional[str | None] = None, /) -> None:
    """List the recipes, or show one with all its settings.

    Args:
        name: the recipe to show
    """
    from steadygan.cli import commands

    commands.recipes(name)


COMMANDS = {"train": train, "resume": resume, "sample": sample, "info": info, "recipes": recipes}


def main() -> None:
    """Parse and call; faults that a person can mend end as one line and a status."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="steadygan", description="Train generative adversarial networks without babysitting."
        )
    except SteadyganError as error:
        print(f"steadygan: {error}", file=sys.stderr)
        sys.exit(error.code)
    except Stopped as stop:
        sys.exit(stop.code)
    except KeyboardInterrupt:
        print("steadygan: stopped at once; resume goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
