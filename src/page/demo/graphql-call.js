import { connectCall } from '/page/vendor/parley-client.js';
import { openPeer } from './call-peer.js';

const START_CALL = `
  mutation StartCall($id: ID!) {
    startCall(conversationId: $id) { call { eventCursor } participant { id } }
  }`;
const LEAVE_CALL = 'mutation LeaveCall($id: ID!) { leaveCall(participantId: $id) { id } }';
const CALL_EVENTS = `
  subscription CallEvents($conversationId: ID!, $after: Cursor, $participantId: ID) {
    callEvents(conversationId: $conversationId, after: $after, participantId: $participantId) { __typename cursor }
  }`;
const SIGNALS = 'subscription Signals { signals { sender { ... on User { id } } content } }';

/**
 * Runs the calls of a new app, by `connectCall` of parley/client. Answers every call. `run` executes a mutation, and
 * `subscribe(document, variables, next)` returns a function that ends the subscription.
 */
export function createGraphqlCall({ conversationId, otherId, run, view, onEvent, onError }) {
  let isBusy = false;
  let current;

  const open = (client, subscribe, calls) => {
    if (isBusy) return;
    isBusy = true;
    view.open(calls ? 'Calling…' : 'Answering…');
    start(client, subscribe, calls).catch((error) => {
      close();
      onError(error);
    });
  };
  const start = async (client, subscribe, calls) => {
    const peer = await openPeer(view);
    current = { peer };
    const { startCall } = await run(START_CALL, { id: conversationId });
    current.participantId = startCall.participant.id;
    const after = startCall.call.eventCursor;
    // The participant stays in the call while this subscription is open.
    current.leave = subscribe(
      CALL_EVENTS,
      { conversationId, after, participantId: current.participantId },
      ({ callEvents: { __typename } }) => __typename !== 'StreamLive' && onEvent(__typename),
    );
    const { connection } = peer;
    current.call = connectCall({ client, connection, accountId: otherId, calls, onHangUp: hangUp, onError });
  };
  /** Releases the media and the subscriptions of the call. */
  const close = () => {
    const { peer, call, leave } = current ?? {};
    [current, isBusy] = [undefined, false];
    view.close();
    peer?.close();
    call?.stop();
    leave?.();
  };
  const hangUp = async () => {
    if (current?.call === undefined) return;
    const { call, participantId } = current;
    await call.hangUp();
    await run(LEAVE_CALL, { id: participantId }).catch(onError);
    close();
  };

  return {
    /** Answers calls that a client receives, and calls with this client from now on. */
    listen(client, subscribe) {
      this.call = () => open(client, subscribe, true);
      subscribe(SIGNALS, {}, ({ signals: { sender, content } }) => {
        if (sender.id === otherId && content.message === 'CALLING') open(client, subscribe, false);
      });
    },
    call() {},
    hangUp,
    close,
  };
}
