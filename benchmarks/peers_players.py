"""The players of ``peers.py``: every peer's own loop or own training step, and our engine, each behind its gate.

Where a peer has a loop that runs on a CPU, that loop is run, unmodified. Two trainers have none that does: one is bound
to CUDA, the other to an old YAML library. Their own steps are called in the order of their own loops.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers_networks
import torch
from peers_gate import Gate, Over, Setup
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from steadygan.config import (
    DataConfig,
    HealthConfig,
    LatentConfig,
    NetworkConfig,
    OptimizerConfig,
    PenaltyConfig,
    PlayerConfig,
    RunConfig,
    constant,
)
from steadygan.data.dataset import DataSet

ROWS, LENGTH = 1_024, 60_000
BATCH = 64


class Game(NamedTuple):
    """What a peer plays at equal networks, said in our settings."""

    shape: tuple[int, int, int]
    latent: int
    loss: str
    optimizers: Mapping[str, OptimizerConfig]
    penalties: Mapping[str, PenaltyConfig] = {}
    steps: int = 1
    channels_last: bool = True
    """False where a peer's network asks for the plain layout (``view`` between its layers)."""


def adam(rate: float, beta1: float, beta2: float) -> OptimizerConfig:
    """Adam's settings."""
    return OptimizerConfig(learning_rate=constant(rate), beta1=beta1, beta2=beta2)


def both(optimizer: OptimizerConfig) -> dict[str, OptimizerConfig]:
    """The same for both players."""
    return {"generator": optimizer, "discriminator": optimizer}


R1 = {"r1": PenaltyConfig(weight=constant(20.0))}
R1_R2 = {"r1": PenaltyConfig(weight=constant(0.05)), "r2": PenaltyConfig(weight=constant(0.05))}
TORCHGAN = {"generator": adam(1e-4, 0.5, 0.999), "discriminator": adam(3e-4, 0.5, 0.999)}
RMSPROP = OptimizerConfig(name="rmsprop", learning_rate=constant(1e-4))

GAMES = {
    "examples": Game((3, 64, 64), 100, "non-saturating", both(adam(2e-4, 0.5, 0.999))),
    "PyTorch-GAN": Game((1, 32, 32), 100, "non-saturating", both(adam(2e-4, 0.5, 0.999))),
    "torchgan": Game((3, 32, 32), 100, "least-squares", TORCHGAN),
    "mimicry": Game((3, 32, 32), 128, "hinge", both(adam(2e-4, 0.0, 0.9)), steps=5),
    "GAN_stability": Game((3, 32, 32), 128, "non-saturating", both(RMSPROP), R1, channels_last=False),
    "R3GAN": Game((3, 32, 32), 64, "relativistic", both(adam(2e-4, 0.0, 0.9)), R1_R2),
}
"""Each peer with its own loss, penalties, optimizers and steps."""


class Rows(Dataset[tuple[Tensor, int]]):
    """Random images in memory as floats in [-1, 1]; what they show does not change the time that a round takes."""

    def __init__(self, gate: Gate, shape: tuple[int, int, int]) -> None:
        self.gate = gate
        self.images = torch.from_numpy(random_bytes(shape)).float().div_(127.5).sub_(1.0)

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.gate.item()
        return self.images[index % len(self.images)], 0


class Digits(Dataset[tuple[Tensor, int]]):
    """MNIST's training images, as the peer transforms them; doing so is not timed."""

    def __init__(self, gate: Gate, transform: Callable[[Any], Any]) -> None:
        self.gate, self.transform, self.data = gate, transform, mnist()
        self.images = np.asarray(self.data.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.gate.item()
        with self.gate.paused():
            return self.transform(Image.fromarray(self.images[index][0])), int(self.data.labels[index])


def mnist() -> Any:
    """MNIST's training images."""
    import judge

    from steadygan.data.sources import open_data

    return open_data(DataConfig(source="mnist", split="train", folder=str(judge.data_folder() / "mnist")))


def random_bytes(shape: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random rows (N, C, H, W)."""
    return np.random.default_rng(0).integers(0, 256, (ROWS, *shape), dtype=np.uint8)


def served(gate: Gate, setup: Setup) -> Callable[[Any], Any]:
    """What a peer gets when it asks for a data set."""
    if setup.purpose == "speed":
        return lambda transform: Rows(gate, GAMES[setup.peer].shape)
    return lambda transform: Digits(gate, transform)


def drawn(generator: nn.Module, size: int, *, flat: bool, training: bool) -> Callable[[int], Iterator[Tensor]]:
    """Samples of a peer's generator in batches of 64 from fixed latents; the generator itself stays as it is."""

    @torch.no_grad()
    def samples(count: int) -> Iterator[Tensor]:
        source = torch.Generator().manual_seed(0)
        network = copy.deepcopy(generator).train(training)
        for _ in range(0, count, BATCH):
            latent = torch.randn(BATCH, size, generator=source)
            yield network(latent if flat else latent[:, :, None, None]).clamp(-1, 1)

    return samples


def play_script(gate: Gate, setup: Setup) -> None:
    """A peer that is a script with its loop inside: it samples in training mode."""
    peers = Path(setup.peers)
    names: dict[str, Any] = {}
    fake = setup.purpose == "speed"
    if setup.peer == "examples":
        script, keys = peers / peers_networks.EXAMPLES, ("netG", "netD")
        kind = (
            peers_networks.EXAMPLES_ARGUMENTS if fake else ["--dataset", "mnist", "--dataroot", ".", "--workers", "0"]
        )
        # it draws a seed of its own where it is given none
        arguments = [*kind, "--outf", setup.place, "--manualSeed", str(setup.seed)]
    else:
        script, keys, arguments = peers / peers_networks.PYTORCH_GAN, ("generator", "discriminator"), []
    gate.players = lambda: {"generator": names[keys[0]], "discriminator": names[keys[1]]}

    def samples(count: int) -> Iterator[Tensor]:
        return drawn(names[keys[0]], 100, flat=setup.peer != "examples", training=True)(count)

    gate.samples = samples
    peers_networks.prepare_imports(script.parent)
    peers_networks.run_script(script, arguments, served(gate, setup), names)


def play_torchgan(gate: Gate, setup: Setup) -> None:
    """Torchgan's trainer with the models and losses of its first tutorial; it samples in evaluation mode."""
    peers_networks.prepare_imports(setup.peers, "torchgan")
    import torchvision.datasets
    from torchgan.losses import LeastSquaresDiscriminatorLoss, LeastSquaresGeneratorLoss
    from torchgan.trainer import Trainer
    from torchvision import transforms

    losses = [LeastSquaresGeneratorLoss(), LeastSquaresDiscriminatorLoss()]
    models = peers_networks.torchgan_models(3 if setup.purpose == "speed" else 1)
    place = {"checkpoints": f"{setup.place}/gan", "recon": setup.place}
    trainer = Trainer(models, losses, sample_size=64, epochs=10**6, device=torch.device("cpu"), **place)
    gate.players = lambda: {"generator": trainer.generator, "discriminator": trainer.discriminator}
    gate.samples = drawn(trainer.generator, 100, flat=True, training=False)
    torchvision.datasets.source = served(gate, setup)
    steps = [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(mean=(0.5,), std=(0.5,))]
    dataset = torchvision.datasets.MNIST(root="", train=True, transform=transforms.Compose(steps), download=True)
    trainer(DataLoader(dataset, batch_size=BATCH, shuffle=True))


def play_mimicry(gate: Gate, setup: Setup) -> None:
    """Mimicry's trainer as its first page shows it: SNGAN, hinge loss, five steps of the discriminator a round."""
    players = peers_networks.STANDS["mimicry"].build(Path(setup.peers))
    from torch_mimicry.training import Trainer

    gate.players = lambda: players
    optimizers = {name: torch.optim.Adam(one.parameters(), 2e-4, betas=(0.0, 0.9)) for name, one in players.items()}
    trainer = Trainer(
        netD=players["discriminator"],
        netG=players["generator"],
        optD=optimizers["discriminator"],
        optG=optimizers["generator"],
        n_dis=GAMES["mimicry"].steps,
        num_steps=100_000,
        lr_decay="linear",
        dataloader=DataLoader(Rows(gate, GAMES["mimicry"].shape), batch_size=BATCH, shuffle=True),
        log_dir=f"{setup.place}/log-{time.time_ns()}",
        device=torch.device("cpu"),
    )
    trainer.train()


def play_stability(gate: Gate, setup: Setup) -> None:
    """The steps of GAN_stability's trainer, in the order of its ``train.py``; its defaults: R1, RMSprop, average."""
    players = peers_networks.STANDS["GAN_stability"].build(Path(setup.peers))
    from gan_training.train import Trainer, update_average

    gate.players = lambda: players
    generator, discriminator = players["generator"], players["discriminator"]
    optimizers = [
        torch.optim.RMSprop(one.parameters(), lr=1e-4, alpha=0.99, eps=1e-8) for one in (generator, discriminator)
    ]
    trainer = Trainer(generator, discriminator, *optimizers, gan_type="standard", reg_type="real", reg_param=10.0)
    average = copy.deepcopy(generator)
    loader = DataLoader(Rows(gate, GAMES["GAN_stability"].shape), batch_size=BATCH, shuffle=True, drop_last=True)
    while True:
        for real, label in loader:
            trainer.discriminator_trainstep(real, label, torch.randn(BATCH, 128))
            trainer.generator_trainstep(label, torch.randn(BATCH, 128))
            update_average(average, generator, beta=0.999)


def play_r3gan(gate: Gate, setup: Setup) -> None:
    """R3GAN's accumulation of gradients, in the order of its training loop, which asks for CUDA; its average too."""
    players = peers_networks.STANDS["R3GAN"].build(Path(setup.peers))
    from R3GAN.Trainer import AdversarialTraining

    gate.players = lambda: players
    generator, discriminator = (players[name].requires_grad_(False) for name in ("generator", "discriminator"))
    average = copy.deepcopy(generator)
    training = AdversarialTraining(generator, discriminator)
    optimizers = {name: torch.optim.Adam(one.parameters(), 2e-4, betas=(0.0, 0.9)) for name, one in players.items()}
    loader = DataLoader(Rows(gate, GAMES["R3GAN"].shape), batch_size=BATCH, shuffle=True, drop_last=True)
    images = endless(loader)
    while True:
        for name, one in (("discriminator", discriminator), ("generator", generator)):
            real, latent = next(images), torch.randn(BATCH, 64)
            optimizers[name].zero_grad(set_to_none=True)
            one.requires_grad_(True)
            if name == "discriminator":
                training.AccumulateDiscriminatorGradients(latent, real, None, 0.05)
            else:
                training.AccumulateGeneratorGradients(latent, real, None)
            one.requires_grad_(False)
            optimizers[name].step()
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), generator.parameters(), strict=True):
                mine.copy_(theirs.lerp(mine, 0.999))


def endless(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[Tensor]:
    """Batches without end."""
    while True:
        for real, _ in loader:
            yield real


def engine_config(setup: Setup, data: DataSet) -> RunConfig:
    """A peer's game on a peer's networks, as a user of ours would set it; health watches and changes nothing."""
    from steadygan.session.planning import settle
    from steadygan.session.wiring import prepare

    game, extra = GAMES[setup.peer], {"peer": setup.peer, "peers": setup.peers}
    players = {
        name: PlayerConfig(
            network=NetworkConfig(name=f"peers_networks:{name}", extra=extra),
            optimizer=optimizer,
            steps=game.steps if name == "discriminator" else 1,
        )
        for name, optimizer in game.optimizers.items()
    }
    config = RunConfig(
        recipe="peers",
        data=DataConfig(source="random"),
        latent=LatentConfig(size=game.latent),
        players=players,
        loss=game.loss,
        penalties=dict(game.penalties),
        channels_last=game.channels_last,
        images=400_000,
        batch=BATCH,
        seed=setup.seed,
        threads=setup.threads,
        health=HealthConfig(mode="watch"),
    )
    return settle(prepare(config, data))


def play_engine(gate: Gate, setup: Setup) -> None:
    """Our engine with a peer's networks: rounds and all that a run does in them, pictures and checkpoints apart."""
    from steadygan.game.loop import loop
    from steadygan.runtime import devices
    from steadygan.runtime.folder import RunFolder
    from steadygan.session.running import Run

    rows = np.arange(ROWS, dtype=np.int64)
    data = DataSet("random", random_bytes(GAMES[setup.peer].shape), None, (), rows, rows[:0], "random")
    # its length decides how often it records; it never ends within a measurement
    config = engine_config(setup, data).model_copy(update={"images": 10**12})
    folder = RunFolder(Path(setup.place) / f"run-{time.time_ns()}")
    folder.create(config.model_dump_json())
    run = Run(folder, config, data)
    gate.players = lambda: run.state.players
    run._marks = [(time.monotonic(), 0)]
    with devices.computing(config.threads, deterministic=config.deterministic):
        gate.next_round(0)
        for record in loop(run.state, run.wired.moves, run.wired.draw):
            run._attend(record)
            gate.next_round(record.images_seen)


def play_ours(gate: Gate, setup: Setup) -> None:
    """A recipe of ours on MNIST, as ``steadygan train mnist --minutes`` plays it; planning is timed, too."""
    import judge

    from steadygan import api
    from steadygan.runtime.folder import RunFolder
    from steadygan.session.running import Run
    from steadygan.session.watching import Silent

    gate.next_round(0)
    recipe = "auto" if setup.player == "default" else setup.player
    given = [f"threads={setup.threads}", f"data.folder={judge.data_folder() / 'mnist'}"]
    planned = api.plan("mnist", recipe=recipe, minutes=setup.minutes, seed=setup.seed, set=given)

    class AtTheGate(Silent):
        """Calls the gate with every record."""

        def record(self, line: Mapping[str, Any], pace: object, health: str) -> None:
            """The clock stands at ``images_seen``."""
            gate.next_round(int(line["images_seen"]))

    folder = RunFolder(Path(setup.place) / f"run-{time.time_ns()}")
    run = Run(folder, planned.config, planned.data, AtTheGate())
    folder.create(planned.config.model_dump_json(indent=1))
    gate.players = lambda: run.state.players
    gate.samples = lambda count: run.wired.samples(count, 0)
    run.conduct()


PLAYERS: dict[str, Callable[[Gate, Setup], None]] = {
    "engine": play_engine,
    "default": play_ours,
    "dcgan": play_ours,
    "examples": play_script,
    "PyTorch-GAN": play_script,
    "torchgan": play_torchgan,
    "mimicry": play_mimicry,
    "GAN_stability": play_stability,
    "R3GAN": play_r3gan,
}
"""Who can play. ``engine`` plays a peer's game on its networks; ``default`` and ``dcgan`` are recipes of ours."""


def play(pipe: Any, setup: Setup) -> None:
    """One player, behind its gate, until it is told to stop."""
    draws = {"mimicry": GAMES["mimicry"].steps, "R3GAN": 2}.get(setup.player, 1)
    gate = Gate(pipe, BATCH * draws)
    with contextlib.suppress(Over):
        PLAYERS[setup.player](gate, setup)
        gate.finished()
