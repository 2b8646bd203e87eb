import { createFrames } from './frames.js';
import { createPanel } from './panel.js';
import { toPanelMessage } from './conversation-picker.js';

/** Creates the views of one side: its panel, and its frames. */
export const createSide = (name, details) => ({
  panel: createPanel(document.getElementById(name), details),
  onFrame: createFrames(document.getElementById(`${name}-frames`)),
});

export const createLegacyViews = () =>
  createSide('legacy', { client: 'socket.io-client 1.3.6', mayRename: false });

/** Shows the account, the conversation and its newest messages. */
export function fillPanel({ panel, account }, protocol, { name, messages }) {
  panel.setTitle(`${account.firstName}, ${protocol}`, account.firstName);
  panel.setName(name);
  for (const message of messages) panel.addMessage(toPanelMessage(message, account));
}

export const newestIdOf = ({ messages }) => messages.at(-1)?.legacyId ?? 0;
