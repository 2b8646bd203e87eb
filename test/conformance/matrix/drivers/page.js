// Runs clients in a web page. The test calls `runCommand`, and exposes `reportEvent`.

const sockets = new Map();

const toBuffers = (value) => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toBuffers);
  if ('$binary' in value) return Uint8Array.from(atob(value.$binary), (char) => char.charCodeAt(0)).buffer;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toBuffers(field)]));
};

const fromBuffers = (value) => {
  if (value instanceof ArrayBuffer) return { $binary: btoa(String.fromCharCode(...new Uint8Array(value))) };
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromBuffers);
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, fromBuffers(field)]));
};

function open(client, { url, transport, channels, reconnection, framesOnConnect }) {
  const onEvent = (event) => globalThis.reportEvent({ client, event });
  const socket = globalThis.io(url, {
    transports: transport === 'upgrade' ? ['polling', 'websocket'] : [transport],
    forceNew: true,
    reconnection,
    reconnectionDelay: 10,
    reconnectionDelayMax: 20,
  });
  sockets.set(client, socket);
  for (const channel of channels) {
    socket.on(channel, (...args) => {
      // Clients of 1.x emit an `error` of their own when the network fails.
      if (args[0] instanceof Error) return;
      onEvent({ type: 'frame', frame: [channel, ...args.map(fromBuffers)] });
    });
  }
  socket.on('connect', () => {
    const { engine } = socket.io;
    engine.on('upgrade', () => onEvent({ type: 'upgrade' }));
    engine.on('packet', ({ type }) => {
      if (type === 'ping' || type === 'pong') onEvent({ type: 'heartbeat' });
    });
    onEvent({ type: 'connect', transport: engine.transport.name });
    for (const frame of framesOnConnect) socket.emit(...toBuffers(frame));
  });
  socket.on('disconnect', (reason) => onEvent({ type: 'disconnect', reason }));
}

function emit(client, frame, id) {
  const acknowledge = (...args) =>
    globalThis.reportEvent({ client, event: { type: 'acknowledgement', id, args } });
  sockets.get(client).emit(...toBuffers(frame), ...(id === undefined ? [] : [acknowledge]));
}

globalThis.runCommand = ({ client, type, options, frame, id }) => {
  if (type === 'open') open(client, options);
  else if (type === 'emit') emit(client, frame, id);
  else sockets.get(client).close();
};
