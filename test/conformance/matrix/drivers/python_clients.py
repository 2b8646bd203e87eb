"""Drives clients of python-socketio: reads commands as lines of JSON, writes what happens as lines of JSON."""

import asyncio
import base64
import json
import logging
import sys

import socketio


def to_bytes(value):
    if isinstance(value, list):
        return [to_bytes(inner) for inner in value]
    if isinstance(value, dict):
        if '$binary' in value:
            return base64.b64decode(value['$binary'])
        return {key: to_bytes(inner) for key, inner in value.items()}
    return value


def from_bytes(value):
    if isinstance(value, (list, tuple)):
        return [from_bytes(inner) for inner in value]
    if isinstance(value, bytes):
        return {'$binary': base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: from_bytes(inner) for key, inner in value.items()}
    return value


class Heartbeats(logging.Handler):
    """Engine.IO tells of the server's pings only in its log."""

    def __init__(self, tell):
        super().__init__()
        self.tell = tell

    def emit(self, record):
        if record.msg.startswith('Received packet') and record.args[0] == 'PING':
            self.tell(type='heartbeat')


class Client:
    def __init__(self, number, options):
        self.number = number
        self.options = options
        self.ids = {}
        log = logging.Logger(str(number), logging.INFO)
        log.addHandler(Heartbeats(self.tell))
        self.sio = socketio.AsyncClient(
            reconnection=options['reconnection'],
            reconnection_delay=0.01,
            reconnection_delay_max=0.02,
            randomization_factor=0,
            engineio_logger=log,
        )
        self.sio.on('connect', self.greet)
        self.sio.on('disconnect', lambda: self.tell(type='disconnect', reason='disconnect'))
        self.sio.on('*', lambda *frame: self.tell(type='frame', frame=from_bytes(frame)))

    def tell(self, **report):
        print(json.dumps({'client': self.number, 'report': report}), flush=True)

    async def open(self):
        transport = self.options['transport']
        transports = ['polling', 'websocket'] if transport == 'upgrade' else [transport]
        await self.sio.connect(self.options['url'], transports=transports)

    async def greet(self):
        self.tell(type='connect', transport=self.sio.transport())
        for emission in self.options['greeting']:
            await self.emit(emission)

    async def emit(self, emission, number=None):
        channel, *args = to_bytes(emission)
        data = None if not args else args[0] if len(args) == 1 else tuple(args)
        acknowledge = None
        if number is not None:
            acknowledge = lambda *values: self.tell(type='acknowledgement', id=number, args=from_bytes(values))
        await self.sio.emit(channel, data, callback=acknowledge)


async def obey(clients, command):
    number = command['client']
    if command['type'] == 'open':
        clients[number] = Client(number, command['options'])
        await clients[number].open()
    elif command['type'] == 'emit':
        await clients[number].emit(command['emission'], command.get('id'))
    else:
        await clients[number].sio.disconnect()


async def serve(clients, commands):
    """Commands of one client run one after the other."""
    while True:
        try:
            await obey(clients, await commands.get())
        except Exception as error:
            print(repr(error), file=sys.stderr, flush=True)


async def main():
    reader = asyncio.StreamReader(limit=2 ** 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    clients, queues, servers = {}, {}, []
    while line := await reader.readline():
        command = json.loads(line)
        number = command['client']
        if number not in queues:
            queues[number] = asyncio.Queue()
            servers.append(asyncio.create_task(serve(clients, queues[number])))
        queues[number].put_nowait(command)


asyncio.run(main())
