"""Drives baresip by its own control socket: one command a line on stdin, one event a line on stdout.

Commands: `call URI`, `answer`, `hold`, `resume`, `transfer URI`, `hangup`. Events: `ready`, `incoming`, `ringing`,
`established`, `transfer STATUS`, `closed WHY`, `hears HZ` (0: silence, -1: something else).
Arguments: folder, user (it takes calls for no other), address, port, transport, tone in Hz. It uses the twenty ports from `port` on. What it sends bears the
address that the kernel chooses, so on the loopback only 127.0.0.1 can be its address.
"""

import array
import json
import math
import pathlib
import socket
import subprocess
import sys
import threading
import time
import wave

import hearing

TONE_S = 120

EVENTS = {
    "CALL_INCOMING": "incoming",
    "CALL_RINGING": "ringing",
    "CALL_PROGRESS": "ringing",
    "CALL_ESTABLISHED": "established",
    "CALL_CLOSED": "closed",
    "CALL_TRANSFER_FAILED": "transfer",
}
COMMANDS = {"call": "dial", "answer": "accept", "hold": "hold", "resume": "resume", "transfer": "transfer", "hangup": "hangup"}


def tell(event, detail=""):
    print(json.dumps({"event": event, "detail": str(detail)}), flush=True)


def configure(folder, user, address, port, transport, tone):
    sounds = folder / "sounds"
    sounds.mkdir()
    say(folder / "tone.wav", int(tone))
    module_path = next(pathlib.Path("/usr/lib").glob("**/baresip/modules"))
    modules = ["g711", "aufile", "aubridge", "sndfile", "srtp"]
    (folder / "config").write_text(
        "\n".join(
            [
                "poll_method epoll",
                f"sip_listen {address}:{port}",
                f"net_interface {address}",
                "call_local_timeout 120",
                "call_max_calls 4",
                f"audio_source aufile,{folder / 'tone.wav'}",
                "audio_player aubridge,nobody",
                "audio_alert aubridge,nobody",
                f"snd_path {sounds}",
                f"rtp_ports {port + 4}-{port + 19}",
                f"module_path {module_path}",
                *(f"module {name}.so" for name in modules),
                "module_tmp account.so",
                "module_app menu.so",
                "module_app ctrl_tcp.so",
                f"ctrl_tcp_listen {address}:{port + 2}",
                "",
            ]
        )
    )
    uri = f"sip:{user}@{address}:{port};transport={transport}"
    (folder / "accounts").write_text(f"<{uri}>;regint=0;audio_codecs=PCMU;answermode=manual\n")
    return sounds


def say(path, hz):
    """Writes a tone that outlasts every test: baresip's own tones are for 48 kHz stereo."""
    second = array.array("h", (round(8000 * math.sin(2 * math.pi * hz * at / 8000)) for at in range(8000)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(second.tobytes() * TONE_S)


def connect(baresip, address, port):
    while True:
        if baresip.poll() is not None:
            raise SystemExit(f"baresip ended with {baresip.returncode} at its start")
        try:
            return socket.create_connection((address, port))
        except ConnectionRefusedError:
            time.sleep(0.02)


def obey(control):
    for line in sys.stdin:
        word, _, detail = line.strip().partition(" ")
        text = json.dumps({"command": COMMANDS[word], "params": detail}).encode()
        control.sendall(b"%d:%s," % (len(text), text))
    # Whoever drives us has gone.
    control.shutdown(socket.SHUT_RDWR)


def report(control):
    pending = b""
    while True:
        octets = control.recv(65536)
        if not octets:
            return
        pending += octets
        while True:
            length, colon, rest = pending.partition(b":")
            if not colon or len(rest) <= int(length):
                break
            text, pending = rest[: int(length)], rest[int(length) + 1 :]
            message = json.loads(text)
            if message.get("type") in EVENTS:
                tell(EVENTS[message["type"]], message.get("param", ""))


def main():
    folder, user, address, port, transport, tone = sys.argv[1:7]
    folder, port = pathlib.Path(folder), int(port)
    sounds = configure(folder, user, address, port, transport, tone)
    with (folder / "log").open("w") as log:
        command = ["baresip", "-f", str(folder), "-s"]
        baresip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        control = connect(baresip, address, port + 2)
        hearing.Ear(sounds, "*-dec.wav", tell).start()
        threading.Thread(target=obey, args=(control,), daemon=True).start()
        tell("ready")
        report(control)
    finally:
        baresip.terminate()
        try:
            baresip.wait(5)
        except subprocess.TimeoutExpired:
            baresip.kill()


if __name__ == "__main__":
    main()
