# Peer: the same room emit on the stack of the original server, Flask-SocketIO with eventlet. On Debian:
# apt-get install python3-flask-socketio python3-eventlet
import json
import os

import eventlet

eventlet.monkey_patch()

import socket

from eventlet import wsgi
from flask import Flask
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
# Heartbeats must not be measured: see bare-socket-io.ts.
socketio = SocketIO(app, async_mode="eventlet", ping_interval=3600)

# The IPC channel of Node: one line of JSON per message.
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))


def send(message):
    channel.sendall(json.dumps(message).encode() + b"\n")


@socketio.on("join")
def join():
    join_room("room")
    emit("ready")


def publish_all():
    for line in channel.makefile("r"):
        socketio.emit("message", json.loads(json.loads(line)), to="room")
        send("done")
    os._exit(0)


listener = eventlet.listen(("127.0.0.1", 0), backlog=4096)
eventlet.spawn(publish_all)
send(listener.getsockname()[1])
wsgi.server(listener, app, log_output=False, max_size=100_000)
