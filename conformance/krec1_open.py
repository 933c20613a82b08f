#!/usr/bin/env python3
"""Opens a KREC1 segment. Written from docs/recording-format.md alone, to check that page and our own reader.

  krec1_open.py SEGMENT --root NNNN.root --store STORE [--out PREFIX]
  krec1_open.py SEGMENT --private HEX [--out PREFIX]

Prints one JSON object; with --out it writes PREFIX.carrier and PREFIX.city, a byte a sample.
Needs the PyPI package cryptography. HPKE is written out here from RFC 9180, with X25519, HMAC and AES-GCM as its parts.
"""

import argparse
import hashlib
import hmac
import json
import sys

try:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ModuleNotFoundError:
    print("krec1_open.py needs the PyPI package cryptography", file=sys.stderr)
    sys.exit(77)

SILENCE = {0: b"\xff", 8: b"\xd5"}


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "big")


def hmac_sha256(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


# RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode.
KEM_ID = b"KEM" + (0x0020).to_bytes(2, "big")
SUITE_ID = b"HPKE" + b"".join(value.to_bytes(2, "big") for value in (0x0020, 0x0001, 0x0002))


def labeled_extract(suite, salt, label, material):
    return hmac_sha256(salt or bytes(32), b"HPKE-v1" + suite + label + material)


def labeled_expand(suite, key, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    made, block, counter = b"", b"", 1
    while len(made) < length:
        block = hmac_sha256(key, block + info + bytes([counter]))
        made += block
        counter += 1
    return made[:length]


def hpke_open(encapsulated, info, sealed, private):
    private = X25519PrivateKey.from_private_bytes(private)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = private.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    extracted = labeled_extract(KEM_ID, b"", b"eae_prk", shared)
    secret = labeled_expand(KEM_ID, extracted, b"shared_secret", encapsulated + public, 32)

    psk_id_hash = labeled_extract(SUITE_ID, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(SUITE_ID, b"", b"info_hash", info)
    context = b"\x00" + psk_id_hash + info_hash
    schedule = labeled_extract(SUITE_ID, secret, b"secret", b"")
    key = labeled_expand(SUITE_ID, schedule, b"key", context, 32)
    nonce = labeled_expand(SUITE_ID, schedule, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


STORE_FORMATS = ("denwaban key store 1", "denwaban key store 2", "denwaban key store 3")


def private_half(root_file, store_file, group, generation):
    with open(root_file, "rb") as file:
        root = file.read()
    if len(root) != 52 or root[:8] != b"DENWROOT" or hashlib.sha256(root[:44]).digest()[:8] != root[44:]:
        sys.exit("the root is damaged")
    with open(store_file, "rb") as file:
        content = file.read()
    store = json.loads(content)
    summed = content[: content.rfind(b',\n  "sha256"')]
    if store["format"] == STORE_FORMATS[2] and hashlib.sha256(summed).hexdigest() != store["sha256"]:
        sys.exit("the key store is damaged")
    if store["format"] not in STORE_FORMATS or store["root"] != number(root, 8, 4):
        sys.exit("root and key store are not of one time")
    pairs = [pair for pair in store["groups"].get(group, []) if pair["generation"] == generation]
    if not pairs:
        sys.exit("the keys of " + group + " were destroyed")
    pair = {name: bytes.fromhex(pairs[0][name]) for name in ("public", "nonce", "wrapped")}
    words = root[8:12] + generation.to_bytes(4, "big") + pair["public"] + group.encode()
    return AESGCM(root[12:44]).decrypt(pair["nonce"], pair["wrapped"], b"denwaban wrapped half" + words)


def read_header(data):
    if data[:8] != b"\x89KREC1\r\n" or number(data, 8, 2) != 1:
        sys.exit("no KREC1 segment of version 1")
    length = number(data, 12, 4)
    group_length, notice_length = number(data, 68, 4), number(data, 80, 4)
    if length > 16384 or length != 196 + group_length + notice_length or len(data) < length:
        sys.exit("the header is cut or damaged")
    if hashlib.sha256(data[: length - 32]).digest() != data[length - 32 : length]:
        sys.exit("the header is damaged")
    at = 84 + group_length
    return {
        "length": length,
        "recording": data[16:32],
        "call": data[32:48],
        "segment": number(data, 48, 4),
        "generation": number(data, 52, 4),
        "start_ms": int.from_bytes(data[56:64], "big", signed=True),
        "codecs": (data[64], data[65]),
        "group": data[84:at].decode(),
        "encapsulated": data[at : at + 32],
        "sealed": data[at + 32 : at + 80],
        "notice": json.loads(data[at + 80 : at + 80 + notice_length]),
    }


def read_chunks(data, at):
    """The whole chunks, and whether the final one is the end of the file."""
    chunks, samples, next_index = [], 0, 0
    while len(data) - at >= 28:
        clear_length, sealed_length = number(data, at, 4), number(data, at + 4, 4)
        end = at + clear_length + sealed_length
        if clear_length < 28 or end + 32 > len(data):
            break
        if hashlib.sha256(data[:end]).digest() != data[end : end + 32]:
            break
        clear = data[at : at + clear_length]
        chunk = {
            "index": number(clear, 8, 4),
            "start": number(clear, 16, 8),
            "samples": number(clear, 24, 4),
            "gaps": [
                (clear[gap], number(clear, gap + 8, 8), number(clear, gap + 4, 4))
                for gap in range(28, clear_length, 16)
            ],
            "clear": clear,
            "sealed": data[at + clear_length : end],
            "link": data[at - 32 : at],
        }
        if chunk["index"] < next_index or chunk["start"] < samples:
            break
        chunks.append(chunk)
        samples = chunk["start"] + chunk["samples"]
        next_index = chunk["index"] + 1
        at = end + 32
        if clear[12] == 1:
            return chunks, at == len(data)
    return chunks, False


def open_chunks(chunks, secret, codecs):
    channels = [bytearray(), bytearray()]
    index = 0
    for chunk in chunks:
        while index < chunk["index"]:
            secret = hmac_sha256(secret, b"denwaban KREC1 next\x01")
            index += 1
        key = hmac_sha256(secret, b"denwaban KREC1 chunk\x01")
        nonce = bytes(8) + chunk["index"].to_bytes(4, "big")
        clear = AESGCM(key).decrypt(nonce, chunk["sealed"], chunk["link"] + chunk["clear"])
        carrier = number(clear, 0, 4)
        parts = (clear[8 : 8 + carrier], clear[8 + carrier :])
        if len(parts[1]) != number(clear, 4, 4):
            sys.exit("a chunk's lengths do not fit")
        for channel, codec, part in zip(channels, codecs, parts):
            channel.extend(SILENCE[codec] * (chunk["start"] - len(channel)))
            channel.extend(part)
    return channels


def main():
    arguments = argparse.ArgumentParser(description="Opens a KREC1 segment.")
    arguments.add_argument("segment")
    arguments.add_argument("--private", help="the group's X25519 private half, in hexadecimal")
    arguments.add_argument("--root")
    arguments.add_argument("--store")
    arguments.add_argument("--out")
    given = arguments.parse_args()

    with open(given.segment, "rb") as file:
        data = file.read()
    header = read_header(data)
    chunks, is_complete = read_chunks(data, header["length"])
    if given.private:
        private = bytes.fromhex(given.private)
    else:
        private = private_half(given.root, given.store, header["group"], header["generation"])
    info = b"denwaban KREC1 segment key" + header["recording"] + header["segment"].to_bytes(4, "big")
    secret = hpke_open(header["encapsulated"], info, header["sealed"], private)
    carrier, city = open_chunks(chunks, secret, header["codecs"])
    if given.out:
        for name, channel in (("carrier", carrier), ("city", city)):
            with open(given.out + "." + name, "wb") as file:
                file.write(channel)
    report = {
        "recording": header["recording"].hex(),
        "segment": header["segment"],
        "group": header["group"],
        "codecs": header["codecs"],
        "start_ms": header["start_ms"],
        "notice": header["notice"]["kind"],
        "chunks": len(chunks),
        "samples": len(carrier),
        "gaps": [gap for chunk in chunks for gap in chunk["gaps"]],
        "complete": is_complete,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
