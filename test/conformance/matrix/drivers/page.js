// Drives clients inside a web page: `command` is called from outside, and `report` is given from there.

const sockets = new Map();

const toBuffers = (value) => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toBuffers);
  if ('$binary' in value) return Uint8Array.from(atob(value.$binary), (char) => char.charCodeAt(0)).buffer;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toBuffers(inner)]));
};

const fromBuffers = (value) => {
  if (value instanceof ArrayBuffer) return { $binary: btoa(String.fromCharCode(...new Uint8Array(value))) };
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromBuffers);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromBuffers(inner)]));
};

function open(client, { url, transport, channels, reconnection, greeting }) {
  const report = (what) => globalThis.report({ client, report: what });
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
      // Clients of 1.x have an `error` of their own, when the network fails.
      if (args[0] instanceof Error) return;
      report({ type: 'frame', frame: [channel, ...args.map(fromBuffers)] });
    });
  }
  socket.on('connect', () => {
    const { engine } = socket.io;
    engine.on('upgrade', () => report({ type: 'upgrade' }));
    engine.on('packet', ({ type }) => {
      if (type === 'ping' || type === 'pong') report({ type: 'heartbeat' });
    });
    report({ type: 'connect', transport: engine.transport.name });
    for (const emission of greeting) socket.emit(...toBuffers(emission));
  });
  socket.on('disconnect', (reason) => report({ type: 'disconnect', reason }));
}

function emit(client, emission, id) {
  const acknowledge = (...args) =>
    globalThis.report({ client, report: { type: 'acknowledgement', id, args } });
  sockets.get(client).emit(...toBuffers(emission), ...(id === undefined ? [] : [acknowledge]));
}

globalThis.command = ({ client, type, options, emission, id }) => {
  if (type === 'open') open(client, options);
  else if (type === 'emit') emit(client, emission, id);
  else sockets.get(client).close();
};
