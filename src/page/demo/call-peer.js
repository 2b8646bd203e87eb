/** Time in which a connection that is interrupted may recover. */
const INTERRUPTION_MS = 5_000;

/**
 * Opens the media of one side: an RTCPeerConnection that sends the camera, and shows in the view what it receives.
 * Without ICE servers: both sides are in one browser, or in one network. `close` releases the camera. Returns undefined if
 * `signal` is aborted before: the browser may ask for the camera for as long as the user likes.
 */
export async function openPeer(view, signal) {
  const local = await unlessAborted(openLocalVideo(view), signal);
  if (local === undefined) return undefined;
  const connection = new RTCPeerConnection();
  for (const track of local.stream.getTracks()) connection.addTrack(track, local.stream);
  connection.addEventListener('track', ({ streams: [stream] }) => view.showRemote(stream));
  view.showLocal(local.stream);
  const timer = setInterval(() => void countFrames(connection).then(view.showFrames), 300);
  // The message that ends the call is lost if this client has no connection to the gateway then.
  const fail = () => view.fail('The call was interrupted.');
  let interruption;
  connection.addEventListener('connectionstatechange', () => {
    clearTimeout(interruption);
    if (connection.connectionState === 'failed') fail();
    else if (connection.connectionState === 'disconnected') interruption = setTimeout(fail, INTERRUPTION_MS);
  });
  return {
    connection,
    close() {
      clearInterval(timer);
      clearTimeout(interruption);
      connection.close();
      local.stop();
    },
  };
}

/** Returns the video; undefined if the signal is aborted first, and stops the video when it opens. */
function unlessAborted(opening, signal) {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined));
    void opening.then((local) => {
      if (signal.aborted) local.stop();
      else resolve(local);
    });
  });
}

/**
 * Opens the camera; a drawing, where there is none or it is refused. Without sound: two clients of one page would feed
 * back.
 */
async function openLocalVideo(view) {
  // Without a secure context, browsers have no `mediaDevices`.
  if (!isSecureContext) view.explain('The camera needs HTTPS: a drawing is sent instead.');
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
    return { stream, stop: () => stream.getTracks().forEach((track) => track.stop()) };
  } catch {
    return openDrawing();
  }
}

function openDrawing() {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 360];
  const context = canvas.getContext('2d');
  const hue = Math.random() * 360;
  const draw = () => {
    const time = performance.now() / 1_000;
    context.fillStyle = `hsl(${hue + time * 20} 45% 35%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = `hsl(${hue + 180} 80% 85%)`;
    context.beginPath();
    context.arc(320 + 220 * Math.cos(time), 180 + 100 * Math.sin(2 * time), 40, 0, 2 * Math.PI);
    context.fill();
  };
  draw();
  const timer = setInterval(draw, 40);
  return { stream: canvas.captureStream(25), stop: () => clearInterval(timer) };
}

/** Returns the number of frames of video that were received and decoded. */
async function countFrames(connection) {
  const stats = [...(await connection.getStats()).values()];
  return stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.framesDecoded ?? 0;
}
