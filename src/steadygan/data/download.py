"""Fetching a file with a known checksum over HTTP: resumed, retried, verified, then put in place at once."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from steadygan.errors import SteadyganError
from steadygan.runtime.storage import reason, sync_folder

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes done and the bytes in all (0 where that is not known)."""

CHUNK = 1 << 16
SLOWEST = 256
"""Bytes a second below which a server counts as hanging."""
PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 451})
"""HTTP answers that another try at the same address will not change."""


class _Retry(Exception):
    """This try failed; the same address may work the next time."""


class _GiveUp(Exception):
    """This address is of no use; another mirror may be."""


def fetch(
    url: str | Sequence[str],
    path: Path,
    *,
    checksum: str,
    size: int | None = None,
    progress: Progress | None = None,
    retries: int = 3,
    timeout: float = 30,
    pause: float = 1.0,
) -> Path:
    """Download one file, check it, and move it to ``path`` in one step.

    A broken-off body is continued where it stopped if the server allows ranges. A body of the wrong size or
    checksum is deleted and its address is not asked again. A file already there with the right checksum is kept.

    Args:
        url: an http(s) address, or several mirrors of the same file, tried in order.
        path: where the file goes; its folder is made if missing.
        checksum: ``"md5:<hex>"`` or ``"sha256:<hex>"``.
        size: length in bytes where known.
        progress: told the name, bytes done and bytes in all after every chunk.
        retries: tries for each address, at least 1.
        timeout: seconds without an answer, or with almost no bytes, that end a try.
        pause: seconds before the second try; doubled before each later one.

    Raises:
        SteadyganError: no address gave the right file, or the folder cannot be written.
    """
    split_checksum(checksum)
    # The process id keeps two runs that start together from writing into one another's bytes.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    job = _Job(path.name, part, checksum, size, progress, max(1, retries), timeout, pause)
    reasons: list[str] = []
    try:
        if path.is_file() and matches(path, checksum):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        for address in [url] if isinstance(url, str) else url:
            part.unlink(missing_ok=True)
            try:
                job.fetch(address)
                part.replace(path)
                sync_folder(path.parent)
                return path
            except _GiveUp as fault:
                reasons.append(f"{address} ({fault})")
    except OSError as fault:
        raise _disk_error(fault, path) from fault
    finally:
        _remove(part)
    where = " or ".join(reasons) or "anywhere, since no address is known"
    remedy = f"check the network, or put {path.name} into {path.parent} yourself, or name its folder by data.folder"
    raise SteadyganError(f"cannot download {path.name} from {where}", remedy, code=1)


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has this ``"md5:<hex>"`` or ``"sha256:<hex>"``."""
    kind, wanted = split_checksum(checksum)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == wanted


def split_checksum(checksum: str) -> tuple[str, str]:
    """Kind and lower-case hex digits of a checksum; raises SteadyganError for any other form."""
    kind, _, wanted = checksum.partition(":")
    if kind not in ("md5", "sha256") or not wanted:
        raise SteadyganError(f"checksum {checksum!r} has an unknown form", "write md5:<hex> or sha256:<hex>")
    return kind, wanted.lower()


@dataclass(frozen=True)
class _Job:
    """One file to be brought to ``part``, and how much patience there is."""

    name: str
    part: Path
    checksum: str
    size: int | None
    progress: Progress | None
    retries: int
    timeout: float
    pause: float

    def fetch(self, url: str) -> None:
        """Bring the checked file from one address to ``part``; _GiveUp where that cannot be done."""
        if not url.startswith(("http://", "https://")):
            raise _GiveUp("not an http or https address")
        for trial in range(1, self.retries + 1):
            try:
                self.attempt(url)
                break
            except _Retry as fault:
                if trial == self.retries:
                    raise _GiveUp(f"{fault}; tried {trial} times") from fault
                time.sleep(self.pause * 2 ** (trial - 1))
        length = self.part.stat().st_size
        if self.size is not None and length != self.size:
            raise _GiveUp(f"it has {length} bytes and not {self.size}: not the expected file, deleted")
        if not matches(self.part, self.checksum):
            kind = self.checksum.partition(":")[0]
            raise _GiveUp(f"its {kind} is wrong: damaged or tampered with, deleted")

    def attempt(self, url: str) -> None:
        """One try: append to ``part`` what is still missing, and leave it flushed."""
        begin = self.part.stat().st_size if self.part.exists() else 0
        headers = {"User-Agent": "steadygan", "Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                self.receive(response, begin)
        except urllib.error.HTTPError as fault:
            fault.close()
            if fault.code == 416:
                self.part.unlink(missing_ok=True)
            kind = _GiveUp if fault.code in PERMANENT else _Retry
            raise kind(f"HTTP {fault.code} {fault.reason}") from fault
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as fault:
            raise self.network_fault(fault) from fault
        except ValueError as fault:
            raise _GiveUp(f"not a usable address: {fault}") from fault

    def receive(self, response: http.client.HTTPResponse, begin: int) -> None:
        """Write the body behind the first ``begin`` bytes, or from the start where the server sends all of it."""
        continued = response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
        if response.status == 206 and not continued:
            self.part.unlink(missing_ok=True)
            raise _Retry("the server sent another range than the one asked for")
        begin = begin if response.status == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdigit() else self.size or 0
        if self.size is not None and total != self.size:
            raise _GiveUp(f"it offers {total} bytes and not {self.size}: not the expected file")
        with self.part.open("r+b" if begin else "wb") as stream:
            stream.seek(begin)
            stream.truncate()
            done = self.copy(response, stream, begin, total)
            stream.flush()
            os.fsync(stream.fileno())
        if done < total:
            raise _Retry(f"the body broke off after {done} of {total} bytes")

    def copy(self, response: http.client.HTTPResponse, stream: BinaryIO, done: int, total: int) -> int:
        """Copy the body chunk by chunk; returns the length of the file so far."""
        limit = self.size or (1 << 40)
        mark, since = done, time.monotonic()
        while chunk := _read(response):
            stream.write(chunk)
            done += len(chunk)
            if self.progress:
                self.progress(self.name, done, total)
            if done > limit:
                raise _GiveUp(f"it sends more than {limit} bytes: not the expected file")
            if (now := time.monotonic()) - since > self.timeout:
                if done - mark < SLOWEST * self.timeout and done < total:
                    raise TimeoutError
                mark, since = done, now
        return done

    def network_fault(self, fault: Exception) -> _Retry | _GiveUp:
        """What a failed connection means, in a few words."""
        cause = fault.reason if isinstance(fault, urllib.error.URLError) else fault
        if isinstance(cause, socket.gaierror):
            return _GiveUp("its host is not found: no network?")
        if isinstance(cause, TimeoutError):
            return _Retry(f"no answer within {self.timeout:g} s")
        if isinstance(cause, ConnectionRefusedError):
            return _Retry("connection refused")
        return _Retry(f"connection failed: {cause or type(cause).__name__}")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as fault:
        # Kept apart from the faults of the disk, which end everything.
        raise ConnectionError(str(fault)) from fault


def _disk_error(fault: OSError, path: Path) -> SteadyganError:
    remedy = "free some space or choose another folder" if fault.errno == errno.ENOSPC else "choose another folder"
    return SteadyganError(f"cannot write {path} ({reason(fault)})", remedy, code=1)


def _remove(part: Path) -> None:
    """Delete the unfinished file; a folder that is itself unreachable has been reported already."""
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return
