import './scalars.ts';
// Before the types' own fields, so that `id` comes first.
import './node-types.ts';
import './account.ts';
import './device.ts';
import './circle.ts';
import './email-verification.ts';
import './invitation.ts';
import './conversation.ts';
import './message.ts';
import './read-state.ts';
import './read-receipts.ts';
import './media.ts';
import './call.ts';
import './call-participation.ts';
import './node.ts';
import './conversation-event.ts';
import './call-event.ts';
import './circle-event.ts';
import './inbox-event.ts';
import { builder } from './builder.ts';
import { withSnapshotReads } from './snapshot-reads.ts';

export const schema = withSnapshotReads(builder.toSchema({ sortSchema: false }));
