"""Shares of a batch, random numbers of the whole, and what a process says that cannot take part."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygan.errors import SteadyganError
from steadygan.runtime import agreement, devices, processes


def test_a_run_s_folder_is_known_before_torch_is() -> None:
    code = "import sys, steadygan.runtime.folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def one_of(patch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    patch.setattr(processes, "acting", lambda: world)
    patch.setattr(processes, "rank", lambda: rank)


@given(world=st.integers(1, 4), parts=st.integers(1, 3), each=st.integers(1, 5))
def test_shares_joined_by_rank_are_the_micro_batches(world: int, parts: int, each: int) -> None:
    rows = torch.arange(world * parts * each)
    shares = []
    for rank in range(world):
        with pytest.MonkeyPatch.context() as patch:
            one_of(patch, rank, world)
            shares.append(processes.share(rows, parts).view(parts, each))
    for part in range(parts):
        joined = torch.cat([share[part] for share in shares])
        assert joined.tolist() == rows.view(parts, world * each)[part].tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_several_draw_what_one_draws(layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.empty(6, 2, 3, 4).to(memory_format=layout)
    torch.manual_seed(3)
    wanted = processes.noise(whole), processes.drawn(6, lambda count: torch.randperm(count))
    for rank in range(3):
        one_of(monkeypatch, rank, 3)
        torch.manual_seed(3)
        own = slice(2 * rank, 2 * rank + 2)
        assert torch.equal(processes.noise(whole[own]), wanted[0][own])
        assert torch.equal(processes.drawn(2, lambda count: torch.randperm(count)), wanted[1][own])


def test_shares_of_other_sizes_are_drawn_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank, size in enumerate((3, 0, 2)):
        one_of(monkeypatch, rank, 3)
        with processes.dealt((3, 0, 2)):
            found += processes.drawn(size, torch.arange).tolist()
    assert found == [0, 1, 2, 3, 4]


def test_alone_everything_is_given_back() -> None:
    values = torch.randn(4, 2)
    with processes.together():
        for same in (processes.share, processes.total, processes.mean, processes.whole):
            assert same(values) is values
    assert processes.collected(values)[0] is values
    assert agreement.agree({"any": object}) == {"any": object}
    assert agreement.highest(3) == 3
    assert agreement.lead(lambda: 5) == agreement.after_first(lambda: 5) == 5
    assert not agreement.said(ValueError("nothing"))
    agreement.same("things", object())
    done: list[int] = []
    agreement.last(lambda: done.append(1))
    assert done == [1]


def test_a_process_without_a_gpu_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(processes, "count", lambda: 3)
    for place in range(3):
        monkeypatch.setattr(processes, "place", lambda place=place: place)
        for name in ("auto", "cuda"):
            if place < 2:
                assert devices.choose_device(name) == torch.device("cuda", place)
                continue
            with pytest.raises(SteadyganError, match=r"process 2 of this machine has no GPU: there are 2: .*=cpu"):
                devices.choose_device(name)
        assert devices.choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("text", "seconds"), [("", processes.PATIENCE), ("90", 90.0), ("0", 1.0)])
def test_patience_is_the_environment_s(text: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYGAN_PATIENCE", text)
    assert processes.patience() == seconds


def test_patience_that_is_no_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYGAN_PATIENCE", "long")
    with pytest.raises(SteadyganError, match="STEADYGAN_PATIENCE=long is no number: give seconds, as 40"):
        processes.patience()


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ("[..\\unbound_buffer.cc:84] Timed out waiting 1000ms for recv operation", "no answer for 40 s"),
        ("[../pair.cc] Connection closed by peer [127.0.0.1]:1234", "connection lost"),
        ("something else\nover two lines", "something else"),
    ],
)
def test_the_failure_of_a_message_is_told_in_a_line(story: str, words: str) -> None:
    with pytest.raises(processes.Parted) as caught, processes.asked():
        raise RuntimeError(story)
    assert caught.value.code == 1
    assert f"({words}): see what they said; checkpoints are good" in str(caught.value)
