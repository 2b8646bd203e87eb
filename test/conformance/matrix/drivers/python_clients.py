"""Runs clients of python-socketio: reads commands and writes events, one JSON object per line."""

import asyncio
import base64
import json
import logging
import sys

import socketio


def to_bytes(value):
    if isinstance(value, list):
        return [to_bytes(item) for item in value]
    if isinstance(value, dict):
        if '$binary' in value:
            return base64.b64decode(value['$binary'])
        return {key: to_bytes(field) for key, field in value.items()}
    return value


def from_bytes(value):
    if isinstance(value, (list, tuple)):
        return [from_bytes(item) for item in value]
    if isinstance(value, bytes):
        return {'$binary': base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: from_bytes(field) for key, field in value.items()}
    return value


class HeartbeatHandler(logging.Handler):
    """Reads the server's pings from the log of python-engineio, which has no event for them."""

    def __init__(self, report_event):
        super().__init__()
        self.report_event = report_event

    def emit(self, record):
        if record.msg.startswith('Received packet') and record.args[0] == 'PING':
            self.report_event(type='heartbeat')


class Client:
    def __init__(self, number, options):
        self.number = number
        self.options = options
        log = logging.Logger(str(number), logging.INFO)
        log.addHandler(HeartbeatHandler(self.report_event))
        self.sio = socketio.AsyncClient(
            reconnection=options['reconnection'],
            reconnection_delay=0.01,
            reconnection_delay_max=0.02,
            randomization_factor=0,
            engineio_logger=log,
        )
        self.sio.on('connect', self.on_connect)
        self.sio.on('disconnect', lambda: self.report_event(type='disconnect', reason='disconnect'))
        self.sio.on('*', lambda *frame: self.report_event(type='frame', frame=from_bytes(frame)))

    def report_event(self, **event):
        print(json.dumps({'client': self.number, 'event': event}), flush=True)

    async def open(self):
        transport = self.options['transport']
        transports = ['polling', 'websocket'] if transport == 'upgrade' else [transport]
        await self.sio.connect(self.options['url'], transports=transports)

    async def on_connect(self):
        self.report_event(type='connect', transport=self.sio.transport())
        for frame in self.options['framesOnConnect']:
            await self.emit(frame)

    async def emit(self, frame, ack_id=None):
        channel, *args = to_bytes(frame)
        data = None if not args else args[0] if len(args) == 1 else tuple(args)
        acknowledge = None
        if ack_id is not None:
            acknowledge = lambda *values: self.report_event(type='acknowledgement', id=ack_id, args=from_bytes(values))
        await self.sio.emit(channel, data, callback=acknowledge)


async def run_command(clients, command):
    number = command['client']
    if command['type'] == 'open':
        clients[number] = Client(number, command['options'])
        await clients[number].open()
    elif command['type'] == 'emit':
        await clients[number].emit(command['frame'], command.get('id'))
    else:
        await clients[number].sio.disconnect()


async def run_commands(clients, commands):
    """Runs the commands of one client in order."""
    while True:
        try:
            await run_command(clients, await commands.get())
        except Exception as error:
            print(repr(error), file=sys.stderr, flush=True)


async def main():
    reader = asyncio.StreamReader(limit=2 ** 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    clients, queues, tasks = {}, {}, []
    while line := await reader.readline():
        command = json.loads(line)
        number = command['client']
        if number not in queues:
            queues[number] = asyncio.Queue()
            tasks.append(asyncio.create_task(run_commands(clients, queues[number])))
        queues[number].put_nowait(command)


asyncio.run(main())
