// A video call in a browser, with a new app or with one of 2015: parley/client negotiates the RTCPeerConnection.
import { createClient } from 'graphql-ws';
import { connectCall, resumable } from 'parley/client';

export interface CallOptions {
  /** The address of `/graphql`, as `wss://…`. */
  readonly url: string;
  readonly token: string;
  readonly conversationId: string;
  /** The other account: `User:2`. */
  readonly accountId: string;
  /** Whether this client calls. Otherwise it answers, after a signal `CALLING`. */
  readonly calls: boolean;
  readonly local: HTMLVideoElement;
  readonly remote: HTMLVideoElement;
  /** STUN and TURN servers, from `webrtc { iceServers }`. */
  readonly iceServers: RTCIceServer[];
}

const START_CALL = `
  mutation StartCall($conversationId: ID!, $key: String) {
    startCall(conversationId: $conversationId, idempotencyKey: $key) {
      call { eventCursor }
      participant { id }
    }
  }
`;

const LEAVE_CALL = `
  mutation LeaveCall($participantId: ID!) {
    leaveCall(participantId: $participantId) { id }
  }
`;

const CALL_EVENTS = `
  subscription CallEvents($conversationId: ID!, $participantId: ID, $after: Cursor) {
    callEvents(conversationId: $conversationId, participantId: $participantId, after: $after) {
      __typename
      cursor
    }
  }
`;

type StartCall = { startCall: { call: { eventCursor: string }; participant: { id: string } } };

/** Opens a call. Returns the function that hangs up. */
export async function openCall(options: CallOptions): Promise<() => Promise<void>> {
  const { url, token, conversationId, accountId, calls, iceServers } = options;
  const client = resumable(createClient({ url, connectionParams: { token }, retryAttempts: 0 }));
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  const connection = new RTCPeerConnection({ iceServers });
  for (const track of stream.getTracks()) connection.addTrack(track, stream);
  connection.ontrack = ({ streams }) => (options.remote.srcObject = streams[0] ?? null);
  options.local.srcObject = stream;

  const { startCall } = await run<StartCall>(START_CALL, { conversationId, key: crypto.randomUUID() });
  const participantId = startCall.participant.id;
  // The participant stays in the call while this subscription is open, also over failures of the connection.
  client.subscribe(
    { query: CALL_EVENTS, variables: { conversationId, participantId, after: startCall.call.eventCursor } },
    { next: ({ data }) => console.log(data), error: console.error, complete: () => undefined },
  );
  const call = connectCall({
    client,
    connection,
    accountId,
    calls,
    onHangUp: () => void hangUp(),
    onError: console.error,
  });
  return hangUp;

  async function hangUp(): Promise<void> {
    await call.hangUp();
    await run(LEAVE_CALL, { participantId });
    connection.close();
    for (const track of stream.getTracks()) track.stop();
    await client.dispose();
  }

  async function run<Data>(query: string, variables: Record<string, unknown>): Promise<Data> {
    for await (const { data, errors } of client.iterate<Data>({ query, variables })) {
      if (data) return data;
      throw new Error(errors?.[0]?.message);
    }
    throw new Error('The client was disposed.');
  }
}
