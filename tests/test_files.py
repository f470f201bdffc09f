"""What is kept on disk is proved on opening: any change of it, or of its seal, is seen, said and mended."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from threading import Event

import pytest

from bend_hf import files
from bend_hf.errors import BendError
from bend_hf.runtime import UnwantedError

CONTENT = b"some rows that were validated once"


def write(path: Path) -> None:
    path.write_bytes(CONTENT)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << at % 8
    path.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEND_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "kept" / "rows.arrow"


def test_a_sealed_file_is_made_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert files.kept(path, write).read_bytes() == CONTENT
    assert files.kept(path, lambda _: pytest.fail("made again")).read_bytes() == CONTENT
    assert {part.name for part in path.parent.iterdir()} == {"rows.arrow", "rows.arrow.seal"}
    assert not caplog.records


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(CONTENT[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.with_name("rows.arrow.seal").unlink(),
        lambda path: path.with_name("rows.arrow.seal").write_bytes(b"{}"),
        lambda path: path.with_name("rows.arrow.seal").write_bytes(b""),
        lambda path: path.with_name("rows.arrow.seal").write_bytes(b"[1]"),
    ],
    ids=["deleted", "cut", "emptied", "seal deleted", "seal of nothing", "seal emptied", "seal of another shape"],
)
def test_what_is_damaged_is_made_again_aloud(path: Path, caplog: pytest.LogCaptureFixture, harm) -> None:
    files.kept(path, write)
    harm(path)
    assert files.kept(path, write).read_bytes() == CONTENT
    assert "It is made again" in caplog.text
    caplog.clear()
    files.kept(path, write)
    assert not caplog.records


def test_every_flipped_byte_of_file_and_seal_is_seen(path: Path) -> None:
    files.kept(path, write)
    seal = path.with_name("rows.arrow.seal")
    whole = seal.read_bytes()
    for at in range(len(CONTENT)):
        flip(path, at)
        assert files.damage(path) == "rows.arrow does not match its SHA-256"
        flip(path, at)
    for at in range(len(whole)):
        flip(seal, at)
        assert files.kept(path, write).read_bytes() == CONTENT
        assert files.damage(path) is None


def test_a_kill_between_the_seal_and_its_file_loses_neither(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training state is replaced many times: the old one must stay good until the new one is there."""
    files.kept(path, write)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        with files.sealed(path) as temporary:
            temporary.write_bytes(b"new")
    assert path.read_bytes() == CONTENT
    assert files.damage(path) is None
    with files.sealed(path) as temporary:
        temporary.write_bytes(b"newest")
    assert files.damage(path) is None


def test_a_folder_is_sealed_with_what_lies_in_it(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "built"
    (folder / "test").mkdir(parents=True)
    (folder / "info.json").write_text("{}")
    (folder / "test" / "rows.parquet").write_bytes(CONTENT)
    files.seal_folder(folder)
    (folder / "cache-of-another.arrow").write_bytes(b"not ours")
    assert files.damage(folder) is None
    assert files.sealed_files(folder) == ["info.json", "test/rows.parquet"]
    flip(folder / "test" / "rows.parquet", 5)
    assert files.damage(folder) == "test/rows.parquet does not match its SHA-256"
    (folder / "test" / "rows.parquet").unlink()
    assert files.damage(folder) == "test/rows.parquet is missing"
    seal = folder / files.FOLDER_SEAL
    seal.write_bytes(seal.read_bytes().replace(b"rows.parquet", b"rows.parquex"))
    assert files.damage(folder) == "its seal .seal is damaged"


def test_all_is_on_the_disk_before_it_is_renamed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def record_sync(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name.split(".partial")[0]))
        fsync(descriptor)

    def record_replace(self: Path, target: Path) -> Path:
        events.append(("rename", Path(target).name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_replace)
    with files.atomic(path) as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_bytes(CONTENT)
    names = [name if kind == "rename" or not name.startswith(".rows") else "temporary" for kind, name in events]
    assert names == ["inner", "file", "temporary", "rows.arrow", "kept"]
    assert [kind for kind, _ in events] == ["sync", "sync", "sync", "rename", "sync"]


class TestDigestMemory:
    @pytest.fixture(autouse=True)
    def _remember_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "_REMEMBERED_FROM", 0)
        monkeypatch.setattr(files, "_SETTLED_NS", 0)

    def test_a_damaged_memory_is_never_believed(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        files.kept(path, write)
        digest = files.content_digest(path)
        [memory] = files.cache_dir("digests").iterdir()
        whole = memory.read_bytes()
        rng = random.Random(0)
        for at in [whole.index(digest.encode()) + 3, *rng.sample(range(len(whole)), 20)]:
            flip(memory, at)
            assert files.content_digest(path) == digest
            memory.write_bytes(whole)
        assert "is damaged; what it held is found again" in caplog.text

    def test_a_memory_of_another_file_is_not_believed(self, path: Path, tmp_path: Path) -> None:
        files.kept(path, write)
        files.content_digest(path)
        other = tmp_path / "other"
        other.write_bytes(b"another")
        digest = files.content_digest(other)
        first, second = sorted(files.cache_dir("digests").iterdir())
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
        assert files.content_digest(other) == digest

    def test_a_file_that_changes_while_it_is_read_has_no_digest(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files.kept(path, write)
        shutil.rmtree(files.cache_dir("digests"))
        digest_file = files.digest_file

        def slow(path: Path, stop: Event | None) -> str:
            found = digest_file(path, stop)
            path.write_bytes(b"another length")
            return found

        monkeypatch.setattr(files, "digest_file", slow)
        with pytest.raises(BendError, match="was changed while it was read"):
            files.content_digest(path)

    @pytest.mark.parametrize("times", [1, 9, 10])
    def test_a_file_that_another_process_puts_in_place_is_looked_at_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, times: int
    ) -> None:
        files.kept(path, write)
        shutil.rmtree(files.cache_dir("digests"))
        digest_file, left = files.digest_file, [times]

        def replaced(path: Path, stop: Event | None) -> str:
            found = digest_file(path, stop)
            if left[0]:
                left[0] -= 1
                path.with_name("other").write_bytes(path.read_bytes())
                path.with_name("other").rename(path)
            return found

        monkeypatch.setattr(files, "digest_file", replaced)
        if times < 10:
            assert files.kept(path, write) == path
            assert files.damage(path) is None
        else:
            with pytest.raises(BendError, match="was changed while it was read"):
                files.damage(path)


class TestDigestMemoryOfWhatIsWritten:
    """The digest that sealing finds is remembered, so that nothing is read again at once."""

    @pytest.fixture(autouse=True)
    def _remember_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "_REMEMBERED_FROM", 0)

    @staticmethod
    def sealed(path: Path) -> Path:
        """Seal a folder of two files, and give it its name."""
        folder = path.parent / "rows.incomplete"
        (folder / "inner").mkdir(parents=True)
        for name in ("first", "inner/second"):
            (folder / name).write_bytes(name.encode())
        files.seal_folder(folder, path.parent / "rows")
        return folder.rename(path.parent / "rows")

    def test_a_folder_under_its_later_name(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = self.sealed(path)
        monkeypatch.setattr(files, "digest_file", lambda *_: pytest.fail("read again"))
        assert files.damage(folder) is None

    @pytest.mark.parametrize("name", ["first", "inner/second"])
    def test_a_folder_changed_at_once(self, path: Path, name: str) -> None:
        folder = self.sealed(path)
        flip(folder / name, 2)
        assert files.damage(folder) == f"{name} does not match its SHA-256"

    def test_a_folder_changed_while_it_was_sealed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        digest_file = files.digest_file

        def then_changed(path: Path, stop: Event | None) -> str:
            found = digest_file(path, stop)
            flip(path, 2)
            return found

        monkeypatch.setattr(files, "digest_file", then_changed)
        folder = self.sealed(path)
        monkeypatch.setattr(files, "digest_file", digest_file)
        assert files.damage(folder) == "first does not match its SHA-256"

    def test_a_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files.kept(path, write)
        monkeypatch.setattr(files, "digest_file", lambda *_: pytest.fail("read again"))
        assert files.damage(path) is None

    def test_a_file_changed_at_once(self, path: Path) -> None:
        files.kept(path, write)
        flip(path, 2)
        assert files.damage(path) == "rows.arrow does not match its SHA-256"

    def test_a_file_that_another_process_replaces_meanwhile(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replace = Path.replace

        def replaced(self: Path, target: Path) -> Path:
            done = replace(self, target)
            if target == path:
                other = path.with_name("other")
                other.write_bytes(CONTENT.swapcase())
                replace(other, path)
            return done

        monkeypatch.setattr(Path, "replace", replaced)
        with files.sealed(path) as temporary:
            write(temporary)
        assert files.damage(path) == "rows.arrow does not match its SHA-256"

    def test_a_file_that_another_process_removes_meanwhile(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replace = Path.replace
        monkeypatch.setattr(Path, "replace", lambda self, target: replace(self, target).unlink())
        with files.sealed(path) as temporary:
            write(temporary)
        assert not path.exists()


def test_a_digest_that_is_not_wanted_any_more_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_REMEMBERED_FROM", 0)
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    path.parent.mkdir()
    write(path)
    stop = Event()
    stop.set()
    with pytest.raises(UnwantedError):
        files.content_digest(path, stop)
    assert not list(files.cache_dir("digests").iterdir())


class TestUnchanged:
    def test_a_file_swapped_in_the_block(self, path: Path, tmp_path: Path) -> None:
        files.kept(path, write)
        digest = files.content_digest(path)
        with files.unchanged({path: digest}):
            pass
        with pytest.raises(BendError, match=r"rows\.arrow was changed while it was read, and nothing made of it"):
            with files.unchanged({path: digest}):
                path.write_bytes(CONTENT.swapcase())
        with pytest.raises(BendError, match="was changed after it was first looked at"):
            with files.unchanged({path: digest}):
                pass

    def test_a_file_swapped_and_put_back(self, path: Path, tmp_path: Path) -> None:
        files.kept(path, write)
        digest = files.content_digest(path)
        with pytest.raises(BendError, match="was changed while it was read"):
            with files.unchanged({path: digest}):
                path.rename(tmp_path / "away")
                path.write_bytes(b"another genome")
                path.unlink()
                (tmp_path / "away").rename(path)

    def test_a_file_deleted_in_the_block(self, path: Path) -> None:
        files.kept(path, write)
        with pytest.raises(BendError, match="was changed while it was read"):
            with files.unchanged({path: files.content_digest(path)}):
                path.unlink()


def test_a_relative_cache_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEND_HF_CACHE", "cache-of-this-test")
    before = files.cache_dir("rows")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert files.cache_dir("rows") == before == tmp_path / "cache-of-this-test" / "rows"
