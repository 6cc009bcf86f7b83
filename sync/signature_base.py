"""What is signed (RFC 9421 section 2.5) for messages in the one spelling that our own ends write.

The library reads any spelling of structured fields and takes ten times as long as Ed25519 itself, twice for each
request. A message in our own spelling needs no parsing: each field either has exactly these characters, or this module
says None and the library judges. So nothing is accepted here that the library would refuse (a test compares both), and
what is refused here is refused again, in its words, by the library.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

TAG: Final = "jingka-v1"  # RFC 9421 section 2.3, `tag`: a signature made for this use serves no other
LABEL: Final = "jingka"
BINDING: Final = f'"signature";req;key="{LABEL}"'  # section 2.4: an answer covers its request's signature

# Of the grammar of each field only what we write: fewer characters than the standards allow, none of them escaped.
_INPUT: Final = re.compile(
    rf"{LABEL}=(?P<params>\((?P<covered>[!-~ ]*?)\);created=(?P<created>[1-9][0-9]{{0,9}})"
    rf';keyid="(?P<keyid>[A-Za-z0-9._:-]+)";alg="ed25519"(?:;nonce="(?P<nonce>[A-Za-z0-9]+)")?;tag="{TAG}")',
    re.ASCII,
)
_SIGNATURE: Final = re.compile(rf"{LABEL}=(?P<member>:(?P<octets>[A-Za-z0-9+/]{{86}}==):)", re.ASCII)
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*)(?:\?(?P<query>[A-Za-z0-9._~!$&'()*+,;=:@/?-]*))?",
    re.ASCII,
)
_METHOD: Final = re.compile(r"[A-Z]+", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature as it came: `params` are its parameters as they stand in the base, `created` is in Unix seconds."""

    params: str
    covered: str
    created: int
    key_id: str
    nonce: str | None
    member: str  # as it stands in `Signature`, for the answer that covers it
    octets: bytes


def signed(lines: Mapping[str, str]) -> Signed | None:
    """The one signature that a message with these header lines (lower-case names) carries in our spelling."""
    told = _INPUT.fullmatch(lines.get("signature-input", ""))
    made = _SIGNATURE.fullmatch(lines.get("signature", ""))
    if told is None or made is None:
        return None
    return Signed(
        told["params"],
        told["covered"],
        int(told["created"]),
        told["keyid"],
        told["nonce"],
        made["member"],
        base64.b64decode(made["octets"]),
    )


def covered_list(components: Sequence[str]) -> str:
    """The components as they stand between the brackets: `"@method" "signature";req;key="jingka"`."""
    return " ".join(name if name.startswith('"') else f'"{name}"' for name in components)


def parameters(covered: str, created: int, key_id: str, nonce: str | None) -> str | None:
    """The parameters of a new signature; None for a key id or a nonce that would have to be escaped."""
    fresh = "" if nonce is None else f';nonce="{nonce}"'
    params = f'({covered});created={created};keyid="{key_id}";alg="ed25519"{fresh};tag="{TAG}"'
    return params if _INPUT.fullmatch(f"{LABEL}={params}") else None


def digest_of(body: bytes) -> str:
    """`Content-Digest` (RFC 9530) of a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def request_values(method: str, url: str) -> dict[str, str] | None:
    """The derived components of a request (RFC 9421 section 2.2); None for an address that needs the library's eye."""
    found = _URL.fullmatch(url)
    if found is None or not _METHOD.fullmatch(method):
        return None
    port = found["port"]
    authority = found["host"] if port in (None, _DEFAULT_PORTS[found["scheme"]]) else f"{found['host']}:{port}"
    return {
        "@method": method,
        "@authority": authority,
        "@path": found["path"] or "/",
        "@query": f"?{found['query'] or ''}",
    }


def base_of(
    components: Sequence[str], values: Mapping[str, str], lines: Mapping[str, str], params: str
) -> bytes | None:
    """The signature base: a line for each component, from `values` or else from the header `lines`; None: not plain."""
    base = []
    for name in components:
        value = values.get(name) or lines.get(name, "")
        if not _VALUE.fullmatch(value):
            return None
        base.append(f"{name}: {value}" if name.startswith('"') else f'"{name}": {value}')
    base.append(f'"@signature-params": {params}')
    return "\n".join(base).encode("ascii")
