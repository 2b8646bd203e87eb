import { drawQr } from './qr.js';

const ADDRESS = '/demo/phone';
const FOLLOW_MS = 1_000;
/** The page on a phone, with the legacy side alone. */
const PHONE_VIEW = '/?side=legacy';
const LOOPBACK = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

const send = async (method) => {
  const response = await fetch(ADDRESS, { method, headers: { 'x-parley-preflight': '1' } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.message);
  return body;
};

const format = (ms) => new Date(ms).toISOString().slice(14, 19);

/**
 * Connects what opens the legacy side on a phone: the address of this page where other machines can reach it, and otherwise
 * one that the gateway opens in the local network for a while. `name` is that of the account. `onUse` receives whether a phone
 * uses it.
 */
export async function connectPhone({ item, dialog, name, onUse }) {
  const { isAvailable, isPhone, ...state } = await send('GET');
  const isLocal = LOOPBACK.test(location.hostname);
  if (isPhone || (isLocal && !isAvailable)) return;
  item.hidden = false;
  const title = `${name} on your phone`;
  dialog.querySelector('h2').textContent = title;
  item.querySelector('h3').textContent = title;
  const view = createDialogView(dialog, name);
  const button = item.querySelector('button');
  const open = isLocal ? connectListener({ view, dialog, onUse, state }) : () => view.showPage();
  button.addEventListener('click', () => {
    dialog.showModal();
    open().catch(({ message }) => view.showProblem(message));
  });
}

function createDialogView(dialog, name) {
  const find = (selector) => dialog.querySelector(selector);
  const link = find('.address');
  const show = ({ code, state, left = '', hint, isOpen }) => {
    find('.qr').replaceChildren(...(code ? [code] : []));
    if (find('.state').textContent !== state) find('.state').textContent = state;
    find('.left').textContent = left;
    find('.hint').textContent = hint;
    find('.stop').hidden = !isOpen;
    link.parentElement.hidden = !code;
  };
  const draw = (url) => {
    link.href = url;
    link.textContent = url;
    return drawQr(url, `QR code of the address for ${name}`);
  };
  let code;
  return {
    async showPage() {
      code ??= await draw(new URL(PHONE_VIEW, location.href).href);
      show({ code, state: 'Scan the address of this page.', hint: '' });
    },
    async showCode(url) {
      code = await draw(url);
    },
    showOpen({ isUsed, expiresInMs }) {
      if (isUsed) code = undefined;
      show({
        code,
        state: isUsed
          ? `${name} is open on a phone.`
          : code
            ? 'Scan it with a phone in the same network.'
            : 'The gateway waits for a phone. Stop it, and open it again for another code.',
        left: `${format(expiresInMs)} left`,
        hint: isUsed
          ? `Calls of ${name} ring there.`
          : `The code works once, for the first who opens it: as ${name}. A firewall may ask for your permission.`,
        isOpen: true,
      });
    },
    showClosed() {
      code = undefined;
      show({ state: 'Closed: no other machine reaches the gateway.', hint: '' });
    },
    showProblem: (message) => show({ state: `Failed: ${message}`, hint: '' }),
  };
}

/** Connects the listener that the gateway opens, and returns the function that opens it. `state` is its present one. */
function connectListener({ view, dialog, onUse, state }) {
  let timer;
  const apply = (current) => {
    onUse(current.isUsed === true);
    if (current.expiresInMs > 0) return view.showOpen(current);
    clearInterval(timer);
    timer = undefined;
    view.showClosed();
  };
  // A request fails while the gateway restarts.
  const follow = () => {
    timer ??= setInterval(() => void send('GET').then(apply, () => {}), FOLLOW_MS);
  };
  dialog.querySelector('.stop').addEventListener('click', () => {
    send('DELETE').then(apply, ({ message }) => view.showProblem(message));
  });
  if (state.expiresInMs > 0) {
    apply(state);
    follow();
  }
  return async () => {
    if (timer !== undefined) return;
    const { url, expiresInMs } = await send('POST');
    await view.showCode(url);
    apply({ isUsed: false, expiresInMs });
    follow();
  };
}
