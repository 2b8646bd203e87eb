import './audit-log.ts';
import './account.ts';
import './live-connections.ts';
import './nodes.ts';
import './topics.ts';
import { builder } from './builder.ts';
import { withAudit } from './audited-mutations.ts';

/** The operators' schema, at `/admin/graphql`. */
export const schema = withAudit(builder.toSchema({ sortSchema: false }));
