"""What info and recipes say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from steadygan.recipes import RECIPES


def test_a_finished_run(call: Any, run: Path) -> None:
    rows = call("info", run).rows()
    last = json.loads((run / "records.jsonl").read_text().splitlines()[-1])
    assert rows["data"] == "digits"
    assert rows["image"] == "8 x 8 pixels, 1 channel"
    assert rows["recipe"] == "mlp (asked for mlp)"
    assert rows["networks"] == "generator mlp of capacity 32, discriminator mlp of capacity 32"
    assert rows["images seen"] == "256 of 256 (finished)"
    assert rows["checkpoints"] == "000000000256-000, 000000000192-000, 000000000128-000"
    assert rows["latest grid"] == str(run / "samples" / "000000000256.png")
    assert rows["generator/loss"] == f"{last['generator/loss']:.4g}"
    assert rows["discriminator/win_rate"] == f"{last['discriminator/win_rate']:.4g}"


def test_a_run_that_can_go_on(call: Any, run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"images": 1000}))
    assert call("info", run).rows()["images seen"] == f"256 of 1,000 (to go on: steadygan resume {run})"


def test_a_run_without_records_or_with_numbers_that_are_not_finite(call: Any, run: Path) -> None:
    (run / "records.jsonl").write_text('{"images_seen": 16, "generator/loss": null}\n')
    assert call("info", run).rows()["generator/loss"] == "not finite"
    (run / "records.jsonl").unlink()
    assert "generator/loss" not in call("info", run).rows()


def test_a_built_in_set(call: Any) -> None:
    rows = call("info", "digits").rows()
    assert rows["images"] == "1,797 (1,709 for training, 88 held out)"
    assert rows["size"] == "8x8 (width x height), the size of all images"
    assert rows["classes"] == "10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert rows["sizes found"] == "8x8 (1,797)"
    assert rows["duplicates"] == "0"


def test_a_folder_says_what_would_be_done_to_it(call: Any) -> None:
    source = np.random.default_rng(0)
    for label in ("cat", "dog"):
        Path("pets", label).mkdir(parents=True)
        for number in range(8):
            pixels = source.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"pets/{label}/{number}.png")
    rows = call("info", "pets", "--set", "data.fit=pad", "--set", "data.image_size=16x12").rows()
    assert rows["data"] == "pets"
    assert rows["size"] == "16x12 (width x height), as asked"
    assert rows["classes"] == "2: cat, dog"
    assert rows["labels"] == "sub-folders"
    assert rows["fit"].startswith("pad: ")
    assert rows["sizes found"] == "32x24 (16)"
    assert rows["channels"] == "3, as all images have it"


def test_many_unreadable_files_are_counted_not_listed(call: Any, images: Path) -> None:
    for number in range(30):
        (images / f"bad{number:02}.png").write_bytes(b"x")
    said = call("info", images, "--set", "data.max_bad=0.9")
    assert said.fine().count("  quarantined bad") == 20
    assert said.out.endswith("  ... and 10 more\n")


def test_settings_that_say_nothing_about_data(call: Any, run: Path) -> None:
    assert "'batch' is no data setting" in call("info", "digits", "--set", "batch=3").fault()
    assert "did you mean 'data.fit'?" in call("info", "digits", "--set", "data.fitt=pad").fault()
    assert "unknown data.fit 'pod': did you mean 'pad'?" in call("info", "digits", "--set", "data.fit=pod").fault()
    assert f"{run} is a run, and --set is for data" in call("info", run, "--set", "data.fit=pad").fault()


def test_recipes_are_all_listed_in_a_line_each(call: Any) -> None:
    lines = call("recipes").fine().splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(RECIPES)
    assert all(len(line.split()) > 4 for line in lines)


def test_a_recipe_shows_settings_that_set_takes(call: Any, small: tuple[str, ...]) -> None:
    for name in RECIPES:
        assert call("recipes", name).fine().splitlines()[0]
    lines = [line.strip() for line in call("recipes", "wgan-gp").fine().splitlines()[2:]]
    assert "loss=wasserstein" in lines
    assert "discriminator.steps=5" in lines
    assert "penalties.gradient.weight=10.0" in lines
    given = [word for line in lines for word in ("--set", line)]
    call("train", "digits", "--recipe", "wgan-gp", *given, *small, "--set", "images=32", "--out", "run").fine()
    assert call("recipes", "wgan-pg").fault() == "unknown recipe 'wgan-pg': did you mean 'wgan-gp'?"


def test_nothing_wraps_or_trails_in_a_pipe(call: Any, images: Path) -> None:
    long = images.rename(images.with_name("a-name-" + "long-" * 30))
    for words in (("info", long), ("recipes",), ("recipes", "r3")):
        for line in call(*words).fine().splitlines():
            assert line == line.rstrip()
    assert call("info", long).rows()["data"] == str(long)
