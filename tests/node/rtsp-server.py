#!/usr/bin/python3
"""An RTSP server for the tests: GStreamer's own, with a film without end of colour bars and a tone.

Arguments: the port, and the lower transports that it offers (tcp, udp, or both with a comma). Prints 'ready' and each request.
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


def main():
    Gst.init(None)
    port, transports = sys.argv[1], sys.argv[2].split(",")
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
        server.get_mount_points().add_factory(path, factory)

    def met(_, client):
        client.connect("setup-request", lambda _, context: print("setup", context.request.get_header(GstRtsp.RTSPHeaderField.TRANSPORT, 0)[1], flush=True))
        client.connect("teardown-request", lambda *_: print("teardown", flush=True))

    server.connect("client-connected", met)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
