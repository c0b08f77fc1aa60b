#!/usr/bin/python3
"""An RTSP server for the tests: GStreamer's own, with a film without end of colour bars and a tone.

Arguments: the port, and the lower transports that it offers (tcp, udp, or both with a comma); then, if wanted, basic=USER:PASSWORD or
digest=USER:PASSWORD for who may see it, and timeout=SECONDS for how long it keeps a client that is silent. Prints 'ready' and each request.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CODED = {
    "/vp8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=15 target-bitrate=300000 ! rtpvp8pay name=pay0 pt=96",
    "/h264": "openh264enc gop-size=15 bitrate=300000 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1",
}


def guard(method, user, password):
    """Lets this user in, and nobody else."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if method == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    return auth


def main():
    Gst.init(None)
    port, transports = sys.argv[1], sys.argv[2].split(",")
    wishes = dict(argument.split("=", 1) for argument in sys.argv[3:])
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    protocols = GstRtsp.RTSPLowerTrans(0)
    if "tcp" in transports:
        protocols |= GstRtsp.RTSPLowerTrans.TCP
    if "udp" in transports:
        protocols |= GstRtsp.RTSPLowerTrans.UDP
    for path, coder in CODED.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            "( videotestsrc is-live=true pattern=red ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! "
            + coder
            + " audiotestsrc is-live=true freq=440 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97 )"
        )
        factory.set_shared(True)
        factory.set_protocols(protocols)
        if "basic" in wishes or "digest" in wishes:
            rights = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])
        server.get_mount_points().add_factory(path, factory)

    for method in ("basic", "digest"):
        if method in wishes:
            server.set_auth(guard(method, *wishes[method].split(":")))

    def met(_, client):
        client.connect("get-parameter-request", lambda *_: print("get-parameter", flush=True))
        client.connect("options-request", lambda *_: print("options", flush=True))
        if "timeout" in wishes:
            client.connect("new-session", lambda _, session: session.set_timeout(int(wishes["timeout"])))
        client.connect("setup-request", lambda _, context: print("setup", context.request.get_header(GstRtsp.RTSPHeaderField.TRANSPORT, 0)[1], flush=True))
        client.connect("teardown-request", lambda *_: print("teardown", flush=True))

    server.connect("client-connected", met)
    server.attach(None)

    def clean():
        expired = server.get_session_pool().cleanup()
        if expired:
            print("expired", flush=True)
        return True

    GLib.timeout_add(500, clean)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
