const ANSWER_MS = 30_000;

/**
 * Creates the view of a call on one side. `onCall` and `onHangUp` are called by its buttons, and `onFailure` with a text when
 * no video arrives in ANSWER_MS, or no more.
 */
export function createCallView(root, { onCall, onHangUp, onFailure }) {
  const find = (selector) => root.querySelector(selector);
  const call = find('.call');
  const [remote, local] = call.querySelectorAll('video');
  const button = find('.call-button');
  let timer;
  button.dataset.needs = root.id;
  button.addEventListener('click', onCall);
  find('.hang-up').addEventListener('click', onHangUp);
  const isOpen = (value) => {
    call.hidden = !value;
    button.hidden = value;
    clearTimeout(timer);
  };
  const explain = (text) => {
    find('.call-note').hidden = text === '';
    find('.call-note').textContent = text;
  };
  return {
    open(text) {
      isOpen(true);
      explain('');
      find('.call-state').textContent = text;
    },
    close() {
      isOpen(false);
      remote.srcObject = null;
      local.srcObject = null;
    },
    fail: onFailure,
    /** Shows a text during the call. */
    explain,
    showLocal(stream) {
      local.srcObject = stream;
      timer = setTimeout(() => onFailure('No answer.'), ANSWER_MS);
    },
    showRemote: (stream) => (remote.srcObject = stream),
    /** Shows the number of decoded frames, once there are any. */
    showFrames(count) {
      if (count === 0) return;
      clearTimeout(timer);
      find('.call-state').textContent = `${count} frames decoded`;
    },
  };
}
