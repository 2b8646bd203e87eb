import { resumable } from '/page/vendor/parley-client.js';
import { createClient } from '/page/vendor/graphql-ws/client.js';

/**
 * Opens what an app would: a client of graphql-ws, with the subscriptions of parley/client, which come back by
 * themselves. Every frame of it is shown.
 */
export function createGraphqlClient({ url, token, onFrame, ...options }) {
  class ShownWebSocket extends WebSocket {
    send(text) {
      const frame = JSON.parse(text);
      onFrame('sent', frame.type, frame);
      super.send(text);
    }
  }
  const client = createClient({
    url,
    webSocketImpl: ShownWebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    // How long to wait is decided in one place: parley/client goes on trying.
    retryAttempts: 0,
    on: {
      message: (frame) => onFrame('received', frame.type, frame, frame.payload?.data),
      closed: ({ code, reason }) => onFrame('received', 'close', { code, reason }),
    },
  });
  return resumable(client, options);
}
