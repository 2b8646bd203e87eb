import { openPeer } from './call-peer.js';

/**
 * Runs the calls of an app from 2015, by the messages that the mobile apps forward to each other: `CALLING`, `READY`,
 * session descriptions, candidates, `QUITTING`. Answers every call. `forward` sends a payload of `webrtc_forward`.
 */
export function createLegacyCall({ otherId, forward, view, onError }) {
  let peer;
  let hasOffered = false;
  let handled = Promise.resolve();
  const send = (message) => forward({ user_id: otherId, message });

  const open = async (text) => {
    view.open(text);
    peer = await openPeer(view);
    hasOffered = false;
    peer.connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate === null) return;
      const { sdpMid, sdpMLineIndex } = candidate;
      send({ type: 'candidate', data: { candidate: candidate.candidate, sdpMid, sdpMLineIndex } });
    });
  };
  const close = () => {
    peer?.close();
    peer = undefined;
    view.close();
  };
  const describe = async (description) => {
    await peer.connection.setLocalDescription(description);
    send({ type: 'sdp', data: { type: description.type, sdp: description.sdp } });
  };

  const handle = async (message) => {
    if (message === 'QUITTING') return close();
    if (message === 'CALLING') {
      if (peer === undefined) await open('Answering…');
      return send('READY');
    }
    if (peer === undefined) return;
    const { connection } = peer;
    if (message === 'READY') {
      if (hasOffered) return;
      hasOffered = true;
      await describe(await connection.createOffer());
    } else if (message.type === 'candidate') await connection.addIceCandidate(message.data);
    else {
      await connection.setRemoteDescription(message.data);
      if (message.data.type === 'offer') await describe(await connection.createAnswer());
    }
  };
  const enqueue = (work) => (handled = handled.then(work).catch(onError));

  return {
    call: () =>
      enqueue(async () => {
        if (peer !== undefined) return;
        await open('Calling…');
        send('CALLING');
      }),
    hangUp: () =>
      enqueue(() => {
        send('QUITTING');
        close();
      }),
    close,
    /** Handles a frame of `webrtc_forward`. */
    receive({ sender_id, content }) {
      if (sender_id === otherId) void enqueue(() => handle(content.message));
    },
  };
}
