import { connectCall } from '/page/vendor/parley-client.js';
import { createCallEnds } from './call-end.js';
import { openPeer } from './call-peer.js';

const START_CALL = `
  mutation StartCall($id: ID!) {
    startCall(conversationId: $id) { call { eventCursor } participant { id } }
  }`;
const LEAVE_CALL = 'mutation LeaveCall($id: ID!) { leaveCall(participantId: $id) { id } }';
const QUIT = `
  mutation Quit($id: ID!) { sendSignal(to: { userId: $id }, content: { message: "QUITTING" }) }`;
const CALL_EVENTS = `
  subscription CallEvents($conversationId: ID!, $after: Cursor, $participantId: ID) {
    callEvents(conversationId: $conversationId, after: $after, participantId: $participantId) {
      __typename
      cursor
      ... on CallParticipantLeft { participant { id actor { ... on User { id } } } }
    }
  }`;
const SIGNALS = 'subscription Signals { signals { sender { ... on User { id } } content } }';

/**
 * Runs the calls of a new app, by `connectCall` of parley/client. Answers every call. `run` executes a mutation, and
 * `subscribe(document, variables, next)` returns a function that ends the subscription.
 */
export function createGraphqlCall({ conversationId, otherId, run, isOnline, view, onEvent, onError }) {
  let current;
  const ends = createCallEnds(isOnline);

  const open = (client, subscribe, calls) => {
    if (current !== undefined) return;
    const call = { closing: new AbortController() };
    current = call;
    view.open(calls ? 'Calling…' : 'Answering…');
    start(call, { client, subscribe, calls }).catch((error) => {
      if (current !== call) return;
      close();
      onError(error);
    });
  };
  const start = async (call, { client, subscribe, calls }) => {
    const { signal } = call.closing;
    call.peer = await openPeer(view, signal);
    if (call.peer === undefined) return;
    const { startCall } = await run(START_CALL, { id: conversationId });
    const participantId = startCall.participant.id;
    call.participantId = participantId;
    if (signal.aborted) return leave(call);
    const after = startCall.call.eventCursor;
    const end = () => current === call && close();
    // The participant stays in the call while this subscription is open.
    call.unsubscribe = subscribe(
      CALL_EVENTS,
      { conversationId, after, participantId },
      ({ callEvents: { __typename: name, participant } }) => {
        if (name !== 'StreamLive') onEvent(name);
        if (participant?.id === participantId) call.unsubscribe();
        // The signal `QUITTING` is lost while this client has no connection.
        if (name === 'CallParticipantLeft' && participant.actor?.id === otherId) end();
      },
    );
    const { connection } = call.peer;
    call.handle = connectCall({ client, connection, accountId: otherId, calls, onHangUp: end, onError });
  };
  /** Releases the media of the call, and leaves it. */
  const close = () => {
    const call = current;
    if (call === undefined) return;
    current = undefined;
    view.close();
    call.closing.abort();
    call.peer?.close();
    call.handle?.stop();
    if (call.participantId !== undefined) leave(call);
  };
  // Over HTTP: the WebSocket may be closed. The events continue until this participant has left, and show it.
  const leave = ({ participantId, unsubscribe }) =>
    ends.add(() =>
      run(LEAVE_CALL, { id: participantId }).catch((error) => {
        unsubscribe?.();
        throw error;
      }),
    );
  const hangUp = () => {
    if (current === undefined) return;
    close();
    ends.add(() => run(QUIT, { id: otherId }));
  };

  return {
    /** Answers calls that a client receives, and calls with this client from now on. */
    listen(client, subscribe) {
      this.call = () => open(client, subscribe, true);
      subscribe(SIGNALS, {}, ({ signals: { sender, content } }) => {
        if (sender.id !== otherId) return;
        if (content.message === 'CALLING') open(client, subscribe, false);
        // From `connectCall` on, this is its own.
        if (content.message === 'QUITTING' && current?.handle === undefined) close();
      });
    },
    call() {},
    hangUp,
    /** Repeats what could not be sent. Call it when the client is online again. */
    resume: ends.repeat,
  };
}
