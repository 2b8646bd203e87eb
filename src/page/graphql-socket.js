import { oneLine } from './graphql.js';

/**
 * Speaks graphql-transport-ws over one WebSocket: the whole protocol, by hand. `onReady` comes when the server has
 * accepted the token, `onClose` once at the end, whatever the reason.
 */
export function openGraphqlSocket({ url, token, onFrame, onReady, onClose }) {
  const socket = new WebSocket(url, 'graphql-transport-ws');
  const sinks = new Map();
  let lastId = 0;

  const send = (frame) => {
    onFrame('sent', frame.type, frame);
    socket.send(JSON.stringify(frame));
  };

  const receive = (frame) => {
    onFrame('received', frame.type, frame, frame.payload?.data);
    const sink = sinks.get(frame.id);
    switch (frame.type) {
      case 'connection_ack':
        return onReady();
      case 'ping':
        return send({ type: 'pong' });
      case 'next':
        return sink?.next(frame.payload);
      case 'error':
        sinks.delete(frame.id);
        return sink?.error(frame.payload);
      case 'complete':
        return sinks.delete(frame.id);
    }
  };

  socket.addEventListener('open', () => {
    send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  });
  socket.addEventListener('message', ({ data }) => receive(JSON.parse(data)));
  socket.addEventListener('close', ({ code, reason }) => {
    sinks.clear();
    onFrame('received', 'close', { code, reason });
    onClose(code, reason);
  });

  return {
    /** Starts a subscription. `next` gets each result, `error` the errors with which the server ended it. */
    subscribe(document, variables, sink) {
      const id = String(++lastId);
      sinks.set(id, sink);
      send({ id, type: 'subscribe', payload: { query: oneLine(document), variables } });
    },
    close: () => socket.close(1000, 'Going offline'),
  };
}
