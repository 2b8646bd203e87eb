import './scalars.ts';
import './account.ts';
import './device.ts';
import './circle.ts';
import './membership.ts';
import './invitation.ts';
import './conversation.ts';
import './participant.ts';
import './message.ts';
import './media.ts';
import './call.ts';
import './node.ts';
import './conversation-event.ts';
import './circle-event.ts';
import './inbox-event.ts';
import { builder } from './builder.ts';
import { withSnapshots } from './snapshot-reads.ts';

export const schema = withSnapshots(builder.toSchema({ sortSchema: false }));
