"""A UnionPay/PBOC chip, from its first byte to PAN and expiry. Pure: bytes go out and come in through a `Transmit`.

`read.read_card` is the way in. Below it: `application` (which one to read), `dol` (what the card asks of us),
`exchange` (the read-only guard and the rules of T=0 and T=1), `apdu` and `tlv` (the bytes), `tags` (their names).
"""
