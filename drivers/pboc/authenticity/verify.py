"""The whole check: choose the strongest method that card and terminal share, and follow it to its verdict.

EMV Book 3 section 10.3 chooses by the interchange profile. Once a method is chosen its failure is the verdict: falling
back from a failed dynamic check to a static one would let every copy pass.
"""

from __future__ import annotations

from datetime import date
from enum import Enum, auto

from drivers.card import Authenticity, AuthenticityReason
from drivers.pboc.authenticity.certificates import card_key, issuer_key
from drivers.pboc.authenticity.dynamic_data import ask_signature, check_signature, fast_covered
from drivers.pboc.authenticity.keys import SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey, Unproven, failed, unverified
from drivers.pboc.authenticity.static_data import check_static_signature, signed_static_data
from drivers.pboc.evidence import Evidence, Verdict
from drivers.pboc.exchange import Exchange
from drivers.pboc.tags import Tag

# EMV Book 3 annex C1, first octet of the profile. 01 is CDA: it needs GENERATE AC, a payment's command, so not ours.
_OFFERS_SDA, _OFFERS_DDA = 0x40, 0x20


class Method(Enum):
    """How a chip can prove itself to a terminal that only reads."""

    STATIC = auto()
    DYNAMIC = auto()
    FAST_DYNAMIC = auto()  # contactless: the signature came with the processing options or a record


class Authenticator:
    """Judges chips by a file's keys, as of `today` (Asia/Shanghai)."""

    def __init__(self, keys: SchemeKeys, today: date) -> None:
        self._keys = keys
        self._today = today

    def __call__(self, evidence: Evidence, exchange: Exchange) -> Verdict:
        """The verdict. Only faults of the exchange itself are raised, such as a card that was pulled."""
        try:
            return self._judge(evidence, exchange)
        except Unproven as end:
            return end.verdict

    def _judge(self, evidence: Evidence, exchange: Exchange) -> Verdict:
        method = chosen_method(evidence)
        if method is None:
            raise unverified(AuthenticityReason.NOT_OFFERED)
        scheme = self._scheme_key(evidence)
        if not evidence.whole:
            raise failed(AuthenticityReason.DATA_MISSING)
        issuer = issuer_key(evidence, scheme, self._today)
        static = signed_static_data(evidence)
        if method is Method.STATIC:
            check_static_signature(evidence, issuer, static)
            return Verdict(Authenticity.SDA)
        card = card_key(evidence, issuer, static, self._today)
        if method is Method.FAST_DYNAMIC:
            signature, covered = evidence.value_of(Tag.DYNAMIC_SIGNATURE) or b"", fast_covered(evidence)
        else:
            signature, covered = ask_signature(evidence, exchange)
        check_signature(signature, card, covered)
        return Verdict(Authenticity.DDA)

    def _scheme_key(self, evidence: Evidence) -> PublicKey:
        index = evidence.value_of(Tag.SCHEME_KEY_INDEX)
        if index is None or len(index) != 1:
            raise failed(AuthenticityReason.DATA_MISSING)
        found = self._keys.find(evidence.rid, index[0])
        if found is None:
            raise unverified(AuthenticityReason.UNKNOWN_KEY)
        if found.key is None:
            raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
        if self._today > found.expires:
            raise unverified(AuthenticityReason.KEY_EXPIRED)
        return found.key


def chosen_method(evidence: Evidence) -> Method | None:
    """The method to use; None when the chip offers none.

    A qPBOC chip signs only when it thinks fit (PBOC 3.0 part 12), so a signature that it left out breaks no promise.
    """
    offered = evidence.profile[0]
    if evidence.qpboc:
        if offered & _OFFERS_DDA and evidence.value_of(Tag.DYNAMIC_SIGNATURE) is not None:
            return Method.FAST_DYNAMIC
        if offered & _OFFERS_SDA and evidence.value_of(Tag.STATIC_SIGNATURE) is not None:
            return Method.STATIC
        return None
    if offered & _OFFERS_DDA:
        return Method.DYNAMIC
    return Method.STATIC if offered & _OFFERS_SDA else None
