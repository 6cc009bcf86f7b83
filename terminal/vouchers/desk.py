"""The voucher desk: the register that stands at its place now, opened anew whenever headquarters replaced it.

A register that is missing or damaged stops nothing else: vouchers are then not known here, offers that need one answer
`needs-hq`, and the status page and `jingka doctor` say why.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from terminal.membership.token import ProgrammeKey
from terminal.membership.whole_file import FileIdentity
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers.register import (
    Register,
    RegisterHeader,
    VouchersDamaged,
    VouchersError,
    VouchersKeyMismatch,
    VouchersMissing,
)

logger = logging.getLogger(__name__)


class VoucherDesk:
    """Answers from the register. Safe from several threads; opens nothing before the first question."""

    def __init__(self, path: Path, key: ProgrammeKey, *, expected: bool = True) -> None:
        """`expected` False: that there is no register is nothing amiss, for headquarters has perhaps none to send."""
        self.expected = expected
        self.path = path
        self._key = key
        self._lock = threading.Lock()
        self._register: Register | None = None  # the last sound one
        self._fault: VouchersError | None = None
        self._seen: FileIdentity | None = None  # the file that the answer comes from; None: look again

    @property
    def known(self) -> bool:
        """Whether there is a sound register now; looks whether it was replaced."""
        with self._lock:
            self._follow()
            return self._fault is None

    def find(self, code: str) -> VoucherRecord | None:
        """The voucher of this code in its one spelling, by the last sound register; ask `known` first.

        It never fails: what happens to the file between the two questions changes the next answer, not this one.
        """
        register = self._register
        return None if register is None else register.find(code)

    def check(self) -> RegisterHeader:
        """What the register says of itself. Raises why there is none (`VouchersError`)."""
        with self._lock:
            self._follow()
            if self._fault is not None:
                raise self._fault.with_traceback(None)
            assert self._register is not None, "no register and no reason"
            return self._register.header

    def _follow(self) -> None:
        """Open what stands there unless that was done. A file that was found damaged is not read again."""
        try:
            found = FileIdentity.of(self.path.stat())
        except OSError:
            found = None  # opening says what is wrong with it
        if found is not None and found == self._seen:
            return
        fault: VouchersError | None = None
        try:
            self._register = Register.open(self.path, self._key)
            logger.info("register of %d vouchers opened", self._register.header.count)
        except (VouchersDamaged, VouchersKeyMismatch) as error:
            fault = error
        except VouchersError as error:
            fault, found = error, None  # rights may change without a trace in what was seen
        told = self.expected or not isinstance(fault, VouchersMissing)
        if fault is not None and told and (self._fault is None or self._fault.code != fault.code):
            logger.error("no vouchers: %s", fault)
        self._fault, self._seen = fault, found
