"""The coverage-guided runs: that they happen, and what becomes of something found."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz import __main__ as runner
from tests.fuzz.targets import found_octets

HERE = importlib.util.find_spec("atheris") is not None
ANSWER = 0 if HERE else 2  # 2: no package of atheris for this machine


def test_a_guided_run_of_a_second_tries_many_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--target", "locator", "--minutes", "0.02", "--directory", str(tmp_path)]) == ANSWER
    told = capsys.readouterr().out
    assert ("holds" in told) is HERE
    assert ("no package" in told) is not HERE


def test_what_breaks_a_target_is_printed_kept_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, directory: Path, seconds: int) -> runner.Outcome:
        directory.mkdir(parents=True)
        (directory / "crash-0123").write_bytes(b"\x6f\x01")
        return runner.Outcome(name, 7, 3, 1.0, tuple(runner._findings(name, directory)), "IndexError: out of range")

    monkeypatch.setattr(runner, "fuzz_one", broken)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert runner.main(["--target", "tlv", "--directory", str(tmp_path)]) == 1
    (file,) = (tmp_path / "tlv").iterdir()
    assert found_octets(file) == b"\x6f\x01"
    told = capsys.readouterr().out
    assert "IndexError" in told
    assert str(file) in told


def test_a_run_that_never_began_is_a_failure() -> None:
    assert runner.Outcome("tlv", tried=0, edges=0, took_s=0.1, findings=(), output="").broken
