"""Peers are led as they should be, the engine plays their very networks, and the tables say what was measured."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = ("peers_gate", "peers_networks", "peers_players", "peers", "peers_table", "peers_leaderboard")
OTHERS = ("judge", "overhead", "ward_judge")

STRANGER = """
import argparse, os
import numpy as np
import torch, torch.nn as nn
import torchvision.transforms as transforms
from torchvision import datasets
from torchvision.utils import save_image
opt = argparse.ArgumentParser().parse_args()
class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(100, 32 * 32)
    def forward(self, z):
        return torch.tanh(self.net(z)).view(len(z), 1, 32, 32)
class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2))
        self.adv_layer = nn.Sequential(nn.Linear(4 * 16 * 16, 1), nn.Sigmoid())
    def forward(self, images):
        return self.adv_layer(self.model(images).flatten(1))
generator, discriminator = Generator(), Discriminator()
steps = [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
data = datasets.MNIST("x", train=True, download=True, transform=transforms.Compose(steps))
for images, _ in torch.utils.data.DataLoader(data, batch_size=64, shuffle=True):
    assert images.shape == (64, 1, 32, 32) and -1 <= images.min() < images.max() <= 1
    fakes = generator(torch.randn(64, 100))
    loss = discriminator(images).mean() - discriminator(fakes).mean()
    loss.backward()
    save_image(fakes, "x.png")
"""


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's own modules, which import each other by name."""
    before, path = dict(sys.modules), list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in NAMES}
    sys.path[:] = path
    shim = {entry.stem for entry in (FOLDER / "peers_shim").iterdir()}
    for name in set(sys.modules) - set(before):
        if name in (*NAMES, *OTHERS) or name.split(".")[0] in shim:
            del sys.modules[name]


class Conductor:
    """The other end of a gate's line, with its orders written down beforehand."""

    def __init__(self, *orders: tuple[str, float]) -> None:
        self.orders, self.heard = list(orders), list[Any]()

    def recv(self) -> tuple[str, float]:
        return self.orders.pop(0) if self.orders else ("over", 0)

    def send(self, message: Any) -> None:
        self.heard.append(message)


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with a repository of our own making, under the name of a peer whose script runs unmodified."""
    script = tmp_path / "peers" / "PyTorch-GAN" / "implementations" / "dcgan" / "dcgan.py"
    script.parent.mkdir(parents=True)
    script.write_text(STRANGER)
    return tmp_path / "peers"


def setup_for(scripts: dict[str, ModuleType], player: str, peers: Path, place: Path) -> Any:
    return scripts["peers_gate"].Setup(player, "PyTorch-GAN", "speed", str(peers), str(place), 1, 0, 0.0)


def test_a_gate_counts_rounds_and_images_and_stops_where_it_is_told(scripts: dict[str, ModuleType]) -> None:
    conductor = Conductor(("rounds", 3), ("rounds", 2), ("describe", 0))
    gate = scripts["peers_gate"].Gate(conductor, 4)
    gate.players = lambda: {"generator": nn.Linear(2, 3)}
    with contextlib.suppress(scripts["peers_gate"].Over):
        for _ in range(100):
            gate.item()
    first, second, described = conductor.heard
    assert (first.rounds, first.images) == (3, 12)
    assert (second.rounds, second.images) == (5, 20)
    assert described["parameters"] == {"generator": 9}


def test_what_is_done_while_a_gate_is_paused_is_not_timed(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0] / 2)
    monkeypatch.setattr(scripts["peers_gate"], "time", clock)
    conductor = Conductor(("rounds", 1))
    gate = scripts["peers_gate"].Gate(conductor, 1)
    gate.item()
    now[0] += 3.0
    with gate.paused():
        now[0] += 100.0
    now[0] += 4.0
    with pytest.raises(scripts["peers_gate"].Over):
        gate.item()
    assert conductor.heard == [(7.0, 3.5, 1, 1)]


def test_an_order_in_seconds_ends_with_the_round_in_which_they_are_over(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr(scripts["peers_gate"], "time", clock)
    conductor = Conductor(("seconds", 5.0), ("seconds", 3.0))
    gate = scripts["peers_gate"].Gate(conductor, 1)
    with contextlib.suppress(scripts["peers_gate"].Over):
        for _ in range(20):
            gate.item()
            now[0] += 2.0
    assert [(told.wall, told.rounds) for told in conductor.heard] == [(6.0, 3), (10.0, 5)]


def test_a_player_whose_loop_is_over_stays_as_it_is(scripts: dict[str, ModuleType]) -> None:
    conductor = Conductor(("rounds", 50), ("rounds", 1))
    gate = scripts["peers_gate"].Gate(conductor, 1)
    for _ in range(3):
        gate.item()
    with pytest.raises(scripts["peers_gate"].Over):
        gate.finished()
    assert [told.rounds for told in conductor.heard] == [2, 2]


def test_a_strangers_loop_is_fed_and_led(scripts: dict[str, ModuleType], stranger: Path, tmp_path: Path) -> None:
    conductor = Conductor(("describe", 0), ("rounds", 2))
    scripts["peers_players"].play(conductor, setup_for(scripts, "PyTorch-GAN", stranger, tmp_path))
    described, played = conductor.heard
    assert described["parameters"] == {"generator": 101 * 1024, "discriminator": 40 + 1025}
    assert (played.rounds, played.images) == (2, 128)


def test_the_engine_plays_a_strangers_networks(
    scripts: dict[str, ModuleType], stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    conductor = Conductor(("describe", 0), ("rounds", 2))
    scripts["peers_players"].play(conductor, setup_for(scripts, "engine", stranger, tmp_path))
    described, played = conductor.heard
    assert described["parameters"] == {"generator": 101 * 1024, "discriminator": 40 + 1025}
    assert (played.rounds, played.images) == (2, 128)


def test_a_hosted_network_says_what_it_says_by_itself(scripts: dict[str, ModuleType], stranger: Path) -> None:
    networks = scripts["peers_networks"]
    stand = networks.STANDS["PyTorch-GAN"]
    players = stand.build(stranger)
    images = torch.rand(5, 1, 32, 32)
    logits = networks.Hosted(players["discriminator"], stand.judge)(images)
    torch.testing.assert_close(logits.sigmoid(), players["discriminator"](images).squeeze(1))
    latent = torch.randn(5, 100)
    hosted = networks.Hosted(players["generator"], stand.generate)
    torch.testing.assert_close(hosted(latent), players["generator"](latent))


def test_a_script_that_asks_for_no_image_is_told_of(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    script = tmp_path / "empty.py"
    script.write_text("x = 1")
    with pytest.raises(RuntimeError, match=r"empty\.py ended"):
        scripts["peers_networks"].networks_of_script(script, [], "generator", "discriminator")


@pytest.mark.parametrize(("ours", "fits"), [(1000, True), (1009, True), (1011, False), (0, False)])
def test_networks_must_be_equal_within_a_hundredth(scripts: dict[str, ModuleType], ours: int, fits: bool) -> None:
    parameters = {"engine": {"generator": ours}, "peer": {"generator": 1000}}
    if fits:
        scripts["peers"].check_equal(parameters)
        return
    with pytest.raises(RuntimeError, match="generators differ"):
        scripts["peers"].check_equal(parameters)


def test_a_ratio_is_the_peers_time_over_ours(scripts: dict[str, ModuleType]) -> None:
    played = scripts["peers_gate"].Played
    blocks = {
        "engine": [played(1.0, 2.0, 1, 64), played(2.0, 2.0, 1, 64), played(1.0, 2.0, 1, 64)],
        "peer": [played(2.0, 3.0, 1, 64), played(4.0, 3.0, 1, 64), played(3.0, 3.0, 1, 64)],
    }
    found = scripts["peers"].compared(blocks, 64)
    assert found["images_a_second"] == {"engine": 64.0, "peer": 21.3}
    assert (found["times_faster"]["median"], found["times_less_cpu"]["median"]) == (2.0, 1.5)
    assert found["of_totals"] == {"wall": 2.25, "cpu": 1.5}


def test_blocks_take_turns_in_both_orders(scripts: dict[str, ModuleType]) -> None:
    played = scripts["peers_gate"].Played
    order: list[str] = []

    class Lead:
        def __init__(self, name: str) -> None:
            self.name, self.rounds = name, 0

        def play(self, kind: str, count: int) -> Any:
            order.append(self.name)
            self.rounds += count
            return played(self.rounds * 1.0, self.rounds * 2.0, self.rounds, self.rounds * 64)

    leads = {"engine": Lead("engine"), "peer": Lead("theirs")}
    before = {"engine": played(0, 0, 0, 0), "theirs": played(0, 0, 0, 0)}
    blocks = scripts["peers"].take_turns(leads, 3, 2, before)
    assert order == ["engine", "theirs", "theirs", "engine"]
    assert all(block == (3.0, 6.0, 3, 192) for found in blocks.values() for block in found)


def test_cells_that_are_there_are_not_measured_again(
    scripts: dict[str, ModuleType], stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers, out = scripts["peers"], tmp_path / "peers.jsonl"
    measured: list[str] = []

    def measure(cell: Any, options: Any) -> dict[str, Any]:
        measured.append(cell.key)
        return {"looks": []}

    monkeypatch.setattr(peers, "measure_speed", measure)
    common = ["--speed", "--only", "PyTorch-GAN", "torchgan", "--peers", str(stranger), "--out", str(out), "--threads"]
    peers.main([*common, "1"])
    peers.main([*common, "1", "2"])
    # torchgan is left out, since it is not in the folder
    assert measured == ["speed/PyTorch-GAN/1/0/0.0", "speed/PyTorch-GAN/2/0/0.0"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["cell"] for row in rows] == measured
    assert {"commit", "machine", "torch", "load_before"} <= set(rows[0])


def test_a_cell_that_fails_is_told_of_and_the_others_are_measured(
    scripts: dict[str, ModuleType],
    stranger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers, out = scripts["peers"], tmp_path / "peers.jsonl"

    def measure(cell: Any, options: Any) -> dict[str, Any]:
        if cell.threads == 1:
            raise RuntimeError("engine has ended")
        return {}

    monkeypatch.setattr(peers, "measure_speed", measure)
    common = ["--speed", "--only", "PyTorch-GAN", "--peers", str(stranger), "--out", str(out)]
    with pytest.raises(SystemExit, match="1 of the cells"):
        peers.main([*common, "--threads", "1", "2"])
    assert "speed/PyTorch-GAN/1/0/0.0: not measured, since engine has ended" in capsys.readouterr().out
    assert list(peers.kept(out)) == ["speed/PyTorch-GAN/2/0/0.0"]


@pytest.mark.slow
def test_two_processes_take_turns(scripts: dict[str, ModuleType], stranger: Path, tmp_path: Path) -> None:
    out = tmp_path / "peers.jsonl"
    common = ["--speed", "--only", "PyTorch-GAN", "--peers", str(stranger), "--out", str(out), "--seconds", "0.01"]
    scripts["peers"].main([*common, "--pairs", "2"])
    row = json.loads(out.read_text())
    assert row["same_parameters"] is True
    assert row["images_a_second"]["engine"] > 0
    assert row["images_a_second"]["peer"] > 0


def speed_row(player: str, faster: float, threads: int) -> dict[str, Any]:
    spread = {"median": faster, "lower_quartile": faster - 0.1, "upper_quartile": faster + 0.1}
    return {
        "cell": f"speed/{player}/{threads}",
        "kind": "speed",
        "player": player,
        "threads": threads,
        "shape": [3, 64, 64],
        "parameters": {"generator": 3_576_704, "discriminator": 2_765_568},
        "images_a_second": {"engine": 130.0, "peer": 100.0},
        "times_faster": spread,
        "times_less_cpu": spread,
        "memory_mib": {"engine": {"above_start": 300.0}, "peer": {"above_start": 310.0}},
        "pairs": 7,
        "load_before": 0.5,
        "machine": "a machine",
        "torch": "2",
        "commit": "abc",
    }


def quality_row(player: str, looks: list[tuple[float, float]]) -> dict[str, Any]:
    found = [{"wall": 2 * cpu, "cpu": cpu, "frechet": distance} for cpu, distance in looks]
    about = {"load_before": 0.5, "machine": "a machine", "torch": "2", "commit": "abc", "minutes": 5.0, "seed": 0}
    least = min(distance for _, distance in looks)
    own = {"cell": f"quality/{player}", "kind": "quality", "player": player, "threads": 1, "looks": found}
    return {**own, "least": least, **about}


def test_the_page_says_what_was_measured(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    table = scripts["peers_table"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.MARKS[0]}\nold\n{table.MARKS[1]}\nafter\n")
    rows = [speed_row("examples", 1.31, 2), speed_row("R3GAN", 1.05, 2)]
    rows += [quality_row("default", [(10, 150), (20, 60), (40, 9)]), quality_row("torchgan", [(30, 300), (90, 180)])]
    table.write_page({row["cell"]: row for row in rows}, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| `examples`, 64x64x3 | 2 | 3.58 + 2.77 M | 100 | 130 | 1.31 (1.21 to 1.41) | 1.31 | 310 / 300 |" in text
    assert "at least 1.3 times faster on the networks of 1 of 2 peers (examples); least on those of R3GAN, 1.05" in text
    assert "| **`default`** | 0 | 1 | 40 s (80 s) | 10 s (20 s) | 10 s (20 s) |" in text
    assert "the smallest distance that a peer reached is 200: torchgan needed 90 s" in text
    assert "9.0 times sooner (9.0 by the wall; goal: 2)" in text
    assert "Made by `python benchmarks/peers.py --speed --threads 2 --pairs 7` on a machine" in text
    assert "No peer reached 100 within what it was given, at least 90 s; the default needed 20 s" in text
    assert "more than 4.5 times sooner" in text


def test_a_page_without_marks_is_left_alone(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="has not got both"):
        scripts["peers_table"].write_page({}, page)
    assert page.read_text() == "nothing"


def board_row(seconds: float) -> str:
    return f"| {seconds} | 1.0 | 5 | 9.9 | 1 | `c` | `x` | m | d |"


def test_the_fastest_stands_first_on_the_board(scripts: dict[str, ModuleType]) -> None:
    board = scripts["peers_leaderboard"]
    text = (FOLDER.parent / "dev" / "LEADERBOARD.md").read_text(encoding="utf-8")
    there = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    for seconds in (99_999.0, 0.5):
        text = board.with_line(text, "mnist", board_row(seconds))
    begin, end = board.marks("mnist")
    inside = text.partition(begin)[2].partition(end)[0].strip().splitlines()
    assert inside[0].startswith("| seconds |")
    assert (inside[2], inside[-1]) == (board_row(0.5), board_row(99_999.0))
    assert set(there) <= set(text.splitlines())


def test_a_race_ends_with_the_quality_and_its_looks_are_not_timed(scripts: dict[str, ModuleType]) -> None:
    board = scripts["peers_leaderboard"]
    clock, distances = [0.0], [50.0, 8.0]

    def judged(samples: torch.Tensor) -> float:
        clock[0] += 1000.0
        return distances.pop(0)

    now: Callable[[], tuple[float, float]] = lambda: (clock[0], clock[0] / 2)  # noqa: E731
    race = board.Race(judged, 10.0, now)
    with contextlib.suppress(board.Reached):
        for images in range(64, 10_000, 64):
            clock[0] += 1.0
            race.record({"images_seen": images}, None, "")
    # looks at 5 s and at the first second beyond 5 * 1.2
    assert race.last == (6.0, 3.0, 384, 8.0)
    assert not distances
    distances.append(20.0)
    clock[0] += 2.0
    race.end(10_000)
    # the second look's thousand seconds were not taken off, since the race was over with it
    assert race.last is not None
    assert race.last.images_seen == 10_000
    assert race.last.distance == 20.0


def test_the_stand_in_transforms_as_it_should(scripts: dict[str, ModuleType]) -> None:
    scripts["peers_networks"].prepare_imports(FOLDER)
    from PIL import Image
    from torchvision import datasets, models, transforms

    image = Image.new("L", (28, 28), 255)
    made = transforms.Compose([transforms.Resize(32), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])(image)
    torch.testing.assert_close(made, torch.ones(1, 32, 32))
    assert transforms.ToTensor()(Image.new("RGB", (4, 2))).shape == (3, 2, 4)
    with pytest.raises(RuntimeError, match="not part of the stand-in"):
        models.inception_v3()
    with pytest.raises(RuntimeError, match="not part of the stand-in"):
        datasets.CIFAR10("x")
