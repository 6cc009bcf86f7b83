"""The receipt: headquarters' signed word of how much of this ledger it holds, kept where it can be shown later.

It is the acknowledgement itself with what its signature covers: the signature of the request that it answered. So it
proves, without a line and to anybody who has headquarters' public key, that headquarters had the chain up to that hash.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sync.errors import KeyDamaged, KeyMissing, MessageMalformed, ReceiptInvalid, SignatureInvalid, SignatureMissing
from sync.private_file import read_private, replace_private

if TYPE_CHECKING:
    from sync.line import Exchange

RECEIPT_FILE: Final = "receipt.json"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Headquarters had everything up to `sequence`, where the chain's hash is `head` (hex), at its `time`."""

    sequence: int
    head: str
    time: str


def keep_receipt(data_dir: Path, exchange: Exchange) -> None:
    """Keep a proven acknowledgement in place of the one before."""
    document = {
        "request": {
            "method": exchange.request.method,
            "url": exchange.request.url,
            "headers": _signed_fields(exchange.request.headers),
        },
        "response": {
            "status": exchange.response.status,
            "headers": _signed_fields(exchange.response.headers),
            "body": base64.b64encode(exchange.response.body).decode("ascii"),
        },
    }
    replace_private(data_dir / RECEIPT_FILE, json.dumps(document, indent=1).encode())


def load_receipt(data_dir: Path, headquarters_key: bytes) -> Receipt | None:
    """The receipt kept in `data_dir`, proven by `headquarters_key` (32 bytes); None when none was ever given.

    Raises `ReceiptInvalid`, and `KeyExposed` when others may read it.
    """
    path = data_dir / RECEIPT_FILE
    try:
        document = json.loads(read_private(path))
        return _proven(document, headquarters_key)
    except KeyMissing:
        return None
    except (KeyDamaged, ValueError, KeyError, TypeError, MessageMalformed) as error:
        raise ReceiptInvalid("read", str(path), reason=type(error).__name__) from error
    except (SignatureInvalid, SignatureMissing) as error:
        raise ReceiptInvalid("verify", str(path), reason=error.what_text("en")) from error


def _proven(document: Any, headquarters_key: bytes) -> Receipt:
    from sync.signing import HttpRequest, HttpResponse, verify_response
    from sync.wire import Acknowledgement, parse_message

    asked, said = document["request"], document["response"]
    request = HttpRequest(asked["method"], asked["url"], asked["headers"])
    response = HttpResponse(said["status"], said["headers"], base64.b64decode(said["body"], validate=True))
    verify_response(response, request, headquarters_key=headquarters_key)
    answer = parse_message(Acknowledgement, response.body)
    if response.status != 200 or answer.head is None:
        raise MessageMalformed("read", "receipt", reason="no acknowledgement of entries")
    return Receipt(answer.acknowledged, answer.head, answer.time)


def _signed_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields that the signatures stand in or cover."""
    wanted = {"signature", "signature-input", "content-digest", "content-type", "content-encoding"}
    return {name: value for name, value in headers.items() if name.lower() in wanted}
