"""A card that follows a transcript: it fails the test on any octet that the script does not expect."""

from __future__ import annotations

from collections.abc import Sequence


class ScriptedCard:
    """Answers the commands of `script` (pairs of hex, blanks allowed) in order, and nothing else."""

    def __init__(self, script: Sequence[tuple[str, str]]) -> None:
        self._script = [(bytes.fromhex(command), bytes.fromhex(answer)) for command, answer in script]
        self.sent: list[bytes] = []

    def __call__(self, command: bytes, /) -> bytes:
        step = len(self.sent)
        self.sent.append(command)
        assert step < len(self._script), f"the script has ended; sent {command.hex().upper()}"
        expected, answer = self._script[step]
        assert command.hex().upper() == expected.hex().upper(), f"step {step + 1} of the script"
        return answer

    @property
    def finished(self) -> bool:
        """Whether the whole script was played."""
        return len(self.sent) == len(self._script)


class ConstantCard:
    """Answers every command alike, and counts them."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.commands = 0

    def __call__(self, command: bytes, /) -> bytes:
        self.commands += 1
        return self._answer
