import { createCallEnds } from './call-end.js';
import { openPeer } from './call-peer.js';

/**
 * Runs the calls of an app from 2015, by the messages that the mobile apps forward to each other: `CALLING`, `READY`,
 * session descriptions, candidates, `QUITTING`. Answers every call. `forward` sends a payload of `webrtc_forward`.
 */
export function createLegacyCall({ otherId, forward, isOnline, view, onError }) {
  let current;
  /** Messages that were received before the end of a call do not open another one. */
  let endCount = 0;
  let handled = Promise.resolve();
  const ends = createCallEnds(isOnline);
  const send = (message) => forward({ user_id: otherId, message });
  // Without a connection a signal is lost. The call continues, or was not set up.
  const sendNow = (message) => void send(message).catch((error) => error.isRetryable || onError(error));

  /** Returns whether the media are open: the call may end before. */
  const open = async (text) => {
    const call = { closing: new AbortController(), hasOffered: false };
    current = call;
    view.open(text);
    call.peer = await openPeer(view, call.closing.signal);
    if (call.peer === undefined) return false;
    call.peer.connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate === null) return;
      const { sdpMid, sdpMLineIndex } = candidate;
      sendNow({ type: 'candidate', data: { candidate: candidate.candidate, sdpMid, sdpMLineIndex } });
    });
    return true;
  };
  const close = () => {
    endCount += 1;
    current?.closing.abort();
    current?.peer?.close();
    current = undefined;
    view.close();
  };
  const describe = async ({ connection }, description) => {
    await connection.setLocalDescription(description);
    sendNow({ type: 'sdp', data: { type: description.type, sdp: description.sdp } });
  };

  const handle = async (message) => {
    if (message === 'CALLING') {
      if (current !== undefined || (await open('Answering…'))) sendNow('READY');
      return;
    }
    if (current === undefined) return;
    const { peer } = current;
    if (message === 'READY') {
      if (current.hasOffered) return;
      current.hasOffered = true;
      await describe(peer, await peer.connection.createOffer());
    } else if (message.type === 'candidate') await peer.connection.addIceCandidate(message.data);
    else {
      await peer.connection.setRemoteDescription(message.data);
      if (message.data.type === 'offer') await describe(peer, await peer.connection.createAnswer());
    }
  };
  /** Runs the work after that before it, unless a call ends meanwhile: its connection is then closed. */
  const enqueue = (work) => {
    const endsBefore = endCount;
    const isOver = () => endCount !== endsBefore;
    handled = handled
      .then(() => (isOver() ? undefined : work()))
      .catch((error) => isOver() || onError(error));
  };

  return {
    call() {
      enqueue(async () => {
        if (current !== undefined || !(await open('Calling…'))) return;
        const { signal } = current.closing;
        await send('CALLING').catch((error) => {
          if (signal.aborted) return;
          close();
          onError(error);
        });
      });
    },
    hangUp() {
      if (current === undefined) return;
      close();
      ends.add(() => send('QUITTING'));
    },
    /** Repeats what could not be sent. Call it when the client is online again. */
    resume: ends.repeat,
    /** Handles a frame of `webrtc_forward`. */
    receive({ sender_id, content: { message } }) {
      if (sender_id !== otherId) return;
      if (message === 'QUITTING') close();
      else enqueue(() => handle(message));
    },
  };
}
