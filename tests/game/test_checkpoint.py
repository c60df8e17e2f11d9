"""Checkpoints as files: what goes in comes out, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan.game import checkpoint
from steadygan.game.checkpoint import BrokenCheckpoint, Keeper, flatten, unflatten

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$tensor", "$items", "strides"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@given(tree=TREES)
def test_plain_values_come_back_as_they_were(tree: Any) -> None:
    tensors: dict[str, Tensor] = {}
    plain = json.loads(json.dumps(flatten(tree, "", tensors)))
    assert tensors == {}
    assert unflatten(plain, tensors) == tree


LAYOUTS = {
    "contiguous": lambda: torch.randn(2, 3, 4, 5),
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "transposed": lambda: torch.randn(3, 5).T,
    "with gaps": lambda: torch.randn(4, 6)[:, ::2],
    "expanded": lambda: torch.randn(1, 3).expand(4, 3),
    "scalar": lambda: torch.tensor(3.5),
    "empty": lambda: torch.zeros(0, 3),
    "whole numbers": lambda: torch.arange(5),
    "flags": lambda: torch.tensor([True, False]),
    "half": lambda: torch.randn(3).bfloat16(),
    "double": lambda: torch.randn(3, dtype=torch.float64),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_come_back_with_their_values_types_and_order_in_memory(layout: str, tmp_path: Path) -> None:
    tensor = LAYOUTS[layout]()
    keeper = Keeper(tmp_path)
    keeper.save({"state": {"players": {"p": tensor}, "deep": [{3: tensor}]}}, 8, 0)
    assert keeper.wait() is None
    tree = checkpoint.read(tmp_path / "000000000008-000")
    for found in (tree["state"]["players"]["p"], tree["state"]["deep"][0][3]):
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor)
        assert layout == "expanded" or found.stride() == tensor.stride()


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="state/x holds a set"):
        flatten({"state": {"x": {1, 2}}}, "", {})


def test_a_save_is_a_copy_of_that_moment(tmp_path: Path) -> None:
    weight = torch.ones(100_000)
    keeper = Keeper(tmp_path)
    keeper.save({"state": {"players": {"p": weight}}}, 8, 0)
    weight.zero_()
    keeper.wait()
    assert bool((checkpoint.read(tmp_path / "000000000008-000")["state"]["players"]["p"] == 1).all())


@pytest.mark.parametrize("weights_only", [True, False])
def test_weights_alone_are_enough_to_sample(weights_only: bool, tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.save({"state": {"averages": {"g": torch.ones(2)}, "memory": {"m": torch.zeros(2)}}}, 8, 0)
    keeper.wait()
    folder = tmp_path / "000000000008-000"
    (folder / "state.safetensors").unlink()
    if weights_only:
        assert list(checkpoint.read(folder, weights_only=True)) == ["state/averages/g"]
    else:
        with pytest.raises(BrokenCheckpoint, match="FileNotFoundError"):
            checkpoint.read(folder)


def test_the_newest_is_that_of_the_latest_attempt(tmp_path: Path) -> None:
    names = ["000000000100-000", "000000000200-000", "000000000150-001", "000000000090-001", "000000000010-002"]
    for name in [*names, "note-book", ".000000000300-000.partial", "12a-3", "5-"]:
        (tmp_path / name).mkdir()
    (tmp_path / "000000000400-000").touch()
    order = ["000000000010-002", "000000000150-001", "000000000090-001", "000000000200-000", "000000000100-000"]
    assert [path.name for path in checkpoint.listed(tmp_path)] == order
    assert checkpoint.listed(tmp_path / "absent") == []
    assert all(isinstance(found, BrokenCheckpoint) for _, found in checkpoint.newest(tmp_path))


@given(seed=st.integers(0, 10**9))
def test_any_changed_byte_anywhere_is_noticed(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keeper = Keeper(folder)
    keeper.save({"state": {"players": {"p": torch.arange(6.0)}, "memory": {"m": torch.zeros(3)}, "n": 4}}, 8, 0)
    keeper.wait()
    files = sorted((folder / "000000000008-000").glob("[sw]*"))
    path = files[seed % len(files)]
    content = bytearray(path.read_bytes())
    content[seed % len(content)] ^= 1 << seed % 8
    path.write_bytes(bytes(content))
    with pytest.raises(BrokenCheckpoint, match=f"{path.name} is truncated or changed"):
        checkpoint.read(folder / "000000000008-000")


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Keeper, dict[str, Any]]:
    keeper, tree = Keeper(tmp_path, 2), {"state": {"players": {"p": torch.ones(4)}}}
    for images in (8, 16):
        keeper.save(tree, images, 0)
    assert keeper.wait() is None
    return keeper, tree


@pytest.mark.parametrize("broken", ["os.fsync", "os.replace", "builtins.open"])
def test_a_failed_write_leaves_the_earlier_ones_and_is_told_once(
    broken: str, kept: tuple[Keeper, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, tree = kept

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(broken, refuse)
        keeper.save(tree, 24, 0)
        failure = keeper.wait()
    assert isinstance(failure, OSError)
    assert failure.errno == errno.ENOSPC
    assert keeper.wait() is None
    assert [path.name for path in checkpoint.listed(keeper.folder)] == ["000000000016-000", "000000000008-000"]
    assert not list(keeper.folder.glob(".*"))
    for path, found in checkpoint.newest(keeper.folder):
        assert not isinstance(found, BrokenCheckpoint), path
    keeper.save(tree, 24, 0)
    assert keeper.wait() is None
    assert [path.name for path in checkpoint.listed(keeper.folder)] == ["000000000024-000", "000000000016-000"]


def test_whatever_goes_wrong_in_the_background_is_told(
    kept: tuple[Keeper, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, tree = kept
    monkeypatch.setattr(checkpoint, "write", lambda *args: {}["gone"])
    keeper.save(tree, 24, 0)
    assert isinstance(keeper.wait(), KeyError)


def test_sweep_takes_only_leftovers(kept: tuple[Keeper, dict[str, Any]]) -> None:
    keeper, _ = kept
    (keeper.folder / ".000000000024-000.partial").mkdir()
    (keeper.folder / ".000000000024-000.partial" / "weights.safetensors").touch()
    checkpoint.sweep(keeper.folder)
    assert sorted(path.name for path in keeper.folder.iterdir()) == ["000000000008-000", "000000000016-000"]
