import { watchAvailability } from './availability.js';
import { createLegacySide } from './legacy-side.js';
import { findConversation, findOtherMember, readConversation } from './conversation-picker.js';
import { logInSide } from './logins.js';
import { createLegacyViews, fillPanel, newestIdOf } from './side.js';
import { createStopwatch } from './stopwatch.js';

/** Runs the legacy side alone, as on a phone of its own. */
export async function startPhoneView(demo) {
  demo.dataset.only = 'legacy';
  const legacy = createLegacyViews();
  legacy.account = await logInSide('legacy');
  const target = await findConversation(legacy.account);
  const other = target && (await findOtherMember(target, legacy.account));
  if (other === undefined) throw new Error('the account shares no conversation.');
  const history = await readConversation(target, legacy.account);
  fillPanel(legacy, 'Socket.IO', history);
  const newest = newestIdOf(history);
  createLegacySide({ ...legacy, target, other, io: globalThis.io, newest, stopwatch: createStopwatch() });
  watchAvailability([legacy.panel.root]);
}
