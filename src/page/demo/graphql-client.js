import { resumable } from '/page/vendor/parley-client.js';
import { createClient } from '/page/vendor/graphql-ws/client.js';

/**
 * Creates a client as an app would: graphql-ws, wrapped by parley/client, which resumes subscriptions. Reports every frame to
 * `onFrame`.
 */
export function createGraphqlClient({ url, token, onFrame, ...options }) {
  class ReportingWebSocket extends WebSocket {
    send(text) {
      const frame = JSON.parse(text);
      onFrame('sent', frame.type, frame);
      super.send(text);
    }
  }
  const client = createClient({
    url,
    webSocketImpl: ReportingWebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    // parley/client retries; two retry loops would multiply the delays.
    retryAttempts: 0,
    on: {
      message: (frame) => onFrame('received', frame.type, frame, frame.payload?.data),
      closed: ({ code, reason }) => onFrame('received', 'close', { code, reason }),
    },
  });
  return resumable(client, { retryDelay: () => 250 + Math.random() * 500, ...options });
}
