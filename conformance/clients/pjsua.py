"""Drives PJSIP's pjsua2 with the commands and events of `baresip.py`, and two more events: `held` and `talking`.

`call` makes a further call while one is up; `replace` transfers the first call to the party of the second (Replaces).
Arguments: folder, user, address, port, transport (udp, tcp, tls), tone in Hz. With tls, media is SRTP and nothing else;
the folder holds `ca.pem`, `certificate.pem`, `key.pem`.
"""

import json
import os
import pathlib
import queue
import sys
import threading

import pjsua2 as pj

import hearing

TRANSPORTS = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}


def tell(event, detail=""):
    print(json.dumps({"event": event, "detail": str(detail)}), flush=True)


class Call(pj.Call):
    def __init__(self, account, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(account, call_id)
        self.account = account

    def onCallState(self, prm):
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            tell("ringing", info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            tell("established")
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            tell("closed", f"{info.lastStatusCode} {info.lastReason}")
            self.account.calls.remove(self)

    def onCallMediaState(self, prm):
        info = self.getInfo()  # Its list lives no longer than it.
        for media in info.media:
            if media.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD:
                tell("held")
            elif media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                sound = self.getAudioMedia(media.index)
                self.account.tone.startTransmit(sound)
                sound.startTransmit(self.account.recorder)
                tell("talking")

    def onCallTransferStatus(self, prm):
        tell("transfer", prm.statusCode)


class Account(pj.Account):
    calls, tone, recorder = [], None, None

    def onIncomingCall(self, prm):
        self.calls.append(Call(self, prm.callId))
        self.calls[-1].answer(answer(180))
        tell("incoming", self.calls[-1].getInfo().remoteUri)


def answer(status):
    parameters = pj.CallOpParam(True)
    parameters.statusCode = status
    return parameters


def endpoint(folder):
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.logConfig.filename = str(folder / "log")
    settings.logConfig.level = 5
    settings.logConfig.consoleLevel = 0
    settings.medConfig.clockRate = 8000
    settings.medConfig.sndClockRate = 8000
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    made = pj.Endpoint()
    made.libCreate()
    made.libInit(settings)
    return made


def listen(made, folder, address, port, transport):
    settings = pj.TransportConfig()
    settings.boundAddress = address
    settings.port = port
    if transport == "tls":
        settings.tlsConfig.CaListFile = str(folder / "ca.pem")
        settings.tlsConfig.certFile = str(folder / "certificate.pem")
        settings.tlsConfig.privKeyFile = str(folder / "key.pem")
        settings.tlsConfig.verifyServer = True
        settings.tlsConfig.verifyClient = True
    return made.transportCreate(TRANSPORTS[transport], settings)


def register(folder, user, address, port, transport, transport_id):
    settings = pj.AccountConfig()
    settings.idUri = f"sip:{user}@{address}:{port};transport={transport}"
    settings.sipConfig.transportId = transport_id
    settings.mediaConfig.transportConfig.boundAddress = address
    settings.mediaConfig.transportConfig.port = port + 30_000
    if transport == "tls":
        settings.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
        settings.mediaConfig.srtpSecureSignaling = 1
    account = Account()
    account.create(settings)
    return account


def obey(account, word, detail):
    calls = account.calls
    if word == "call":
        calls.append(Call(account))
        calls[-1].makeCall(detail, pj.CallOpParam(True))
    elif word == "answer":
        calls[-1].answer(answer(200))
    elif word == "hold":
        calls[-1].setHold(pj.CallOpParam(True))
    elif word == "resume":
        parameters = pj.CallOpParam(True)
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        calls[-1].reinvite(parameters)
    elif word == "transfer":
        calls[-1].xfer(detail, pj.CallOpParam(True))
    elif word == "replace":
        calls[0].xferReplaces(calls[1], pj.CallOpParam(True))
    elif word == "hangup":
        calls[-1].hangup(pj.CallOpParam(True))
    else:
        raise SystemExit(f"unknown command {word}")


def main():
    folder, user, address, port, transport, tone_hz = sys.argv[1:7]
    folder, port = pathlib.Path(folder), int(port)
    commands = queue.Queue()

    def read():
        for line in sys.stdin:
            commands.put(line)
        commands.put(None)

    threading.Thread(target=read, daemon=True).start()
    made = endpoint(folder)
    transport_id = listen(made, folder, address, port, transport)
    made.audDevManager().setNullDev()
    made.libStart()
    for codec in made.codecEnum2():
        made.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU") else 0)
    account = register(folder, user, address, port, transport, transport_id)
    account.recorder = pj.AudioMediaRecorder()
    account.recorder.createRecorder(str(folder / "heard.wav"))
    account.tone = pj.ToneGenerator()
    account.tone.createToneGenerator(8000, 1)
    tone = pj.ToneDesc()
    tone.freq1, tone.on_msec, tone.off_msec = int(tone_hz), 1000, 0
    account.tone.play(pj.ToneDescVector([tone]), True)
    hearing.Ear(folder, "heard.wav", tell).start()
    tell("ready")
    while True:
        made.libHandleEvents(10)
        try:
            line = commands.get_nowait()
        except queue.Empty:
            continue
        if line is None:
            # Nothing is destroyed piece by piece: the library wants an order that the interpreter does not keep.
            sys.stdout.flush()
            os._exit(0)
        word, _, detail = line.strip().partition(" ")
        obey(account, word, detail)


if __name__ == "__main__":
    main()
