"""Outputs that programs work with at once: chance and keys. The same URN gets the same ones, run after run."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.values import Properties, Secret, Value, reveal_all

_WORDS: Final = ("able", "bold", "calm", "deft", "eager", "fair", "glad", "heron", "ibis", "jay", "kite", "lark")
_DEFAULT_SYMBOLS: Final = "!@#$%&*()-_=+[]{}<>:?"
_DEFAULT_RSA_BITS: Final = 2048


def plausible(type_: str, urn: str, inputs: Properties) -> Properties:
    """What a provider would add to the inputs, for the types of `random` and `tls` that programs use; else nothing."""
    maker = _MAKERS.get(type_)
    if maker is None:
        return {}
    # Not for secrets: simulated values must only look like chance, and be the same each time.
    return maker(random.Random(urn), reveal_all(inputs))  # noqa: S311


def digest(text: str) -> str:
    """A text's hash, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _text(chance: random.Random, inputs: Properties) -> Properties:
    """RandomString and RandomPassword: the defaults are those of pulumi-random's schema."""
    kinds = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "numeric": string.digits,
        "special": str(inputs.get("overrideSpecial") or _DEFAULT_SYMBOLS),
    }
    used = {name: letters for name, letters in kinds.items() if inputs.get(name, True) is not False}
    found: list[str] = []
    for name, letters in used.items():
        least = inputs.get(f"min{name.capitalize()}")
        found += chance.choices(letters, k=least if isinstance(least, int) else 0)
    missing = _number(inputs, "length", 16) - len(found)
    found += chance.choices("".join(used.values()) or string.ascii_lowercase, k=max(0, missing))
    chance.shuffle(found)
    result = "".join(found)
    return {"result": result, "id": result}


def _password(chance: random.Random, inputs: Properties) -> Properties:
    return {"result": Secret(_text(chance, inputs)["result"]), "bcryptHash": Secret("simulated"), "id": "none"}


def _identifier(chance: random.Random, inputs: Properties) -> Properties:
    content = chance.randbytes(_number(inputs, "byteLength", 8))
    prefix = str(inputs.get("prefix") or "")
    url = base64.urlsafe_b64encode(content).decode().rstrip("=")
    return {
        "b64Std": prefix + base64.b64encode(content).decode(),
        "b64Url": prefix + url,
        "dec": f"{prefix}{int.from_bytes(content)}",
        "hex": prefix + content.hex(),
        "id": url,
    }


def _bytes(chance: random.Random, inputs: Properties) -> Properties:
    content = chance.randbytes(_number(inputs, "length", 8))
    return {"base64": Secret(base64.b64encode(content).decode()), "hex": Secret(content.hex()), "id": "none"}


def _pet(chance: random.Random, inputs: Properties) -> Properties:
    words = chance.choices(_WORDS, k=_number(inputs, "length", 2))
    prefix = [str(inputs["prefix"])] if inputs.get("prefix") else []
    return {"id": str(inputs.get("separator", "-")).join([*prefix, *words])}


def _integer(chance: random.Random, inputs: Properties) -> Properties:
    low = _number(inputs, "min", 0)
    result = chance.randint(low, max(low, _number(inputs, "max", low)))
    return {"result": result, "id": str(result)}


def _uuid(chance: random.Random, inputs: Properties) -> Properties:  # noqa: ARG001 - as the others
    result = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return {"result": result, "id": result}


def _shuffle(chance: random.Random, inputs: Properties) -> Properties:
    given = inputs.get("inputs")
    mixed: list[Value] = list(given) if isinstance(given, list) else []
    chance.shuffle(mixed)
    return {"results": mixed[: _number(inputs, "resultCount", len(mixed))], "id": "-"}


def _private_key(chance: random.Random, inputs: Properties) -> Properties:
    """A real key of the kind that is asked for: programs hand it to things that look at it."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match inputs.get("algorithm"):
        case "RSA":
            bits = _number(inputs, "rsaBits", _DEFAULT_RSA_BITS)
            key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        case "ED25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case _:
            key = ec.generate_private_key(ec.SECP256R1())
    public, plain = key.public_key(), form.NoEncryption()
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, plain).decode()
    open_ssh = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, plain).decode()
    return {
        "privateKeyPem": Secret(pem),
        "privateKeyPemPkcs8": Secret(pem),
        "privateKeyOpenssh": Secret(open_ssh),
        "publicKeyPem": public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo).decode(),
        "publicKeyOpenssh": public.public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode() + "\n",
        "id": f"{chance.getrandbits(160):040x}",
    }


def _number(inputs: Properties, name: str, default: int) -> int:
    value = inputs.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


_MAKERS: Final[Mapping[str, Callable[[random.Random, Properties], Properties]]] = {
    "random:index/randomString:RandomString": _text,
    "random:index/randomPassword:RandomPassword": _password,
    "random:index/randomId:RandomId": _identifier,
    "random:index/randomBytes:RandomBytes": _bytes,
    "random:index/randomPet:RandomPet": _pet,
    "random:index/randomInteger:RandomInteger": _integer,
    "random:index/randomUuid:RandomUuid": _uuid,
    "random:index/randomShuffle:RandomShuffle": _shuffle,
    "tls:index/privateKey:PrivateKey": _private_key,
}
