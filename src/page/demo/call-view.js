/** Creates the view of a call on one side. `onCall` and `onHangUp` are called by its buttons. */
export function createCallView(root, { onCall, onHangUp }) {
  const find = (selector) => root.querySelector(selector);
  const call = find('.call');
  const [remote, local] = call.querySelectorAll('video');
  const button = find('.call-button');
  button.dataset.needs = root.id;
  button.addEventListener('click', onCall);
  find('.hang-up').addEventListener('click', onHangUp);
  const isOpen = (value) => {
    call.hidden = !value;
    button.hidden = value;
  };
  return {
    open(text) {
      isOpen(true);
      find('.call-state').textContent = text;
    },
    close() {
      isOpen(false);
      remote.srcObject = null;
      local.srcObject = null;
    },
    showLocal: (stream) => (local.srcObject = stream),
    showRemote: (stream) => (remote.srcObject = stream),
    /** Shows the number of decoded frames, once there are any. */
    showFrames(count) {
      if (count > 0) find('.call-state').textContent = `${count} frames decoded`;
    },
  };
}
