import { readAuditLog } from '../domain/audit-log.ts';
import type { AuditEntry as AuditEntryRow } from '../domain/audit-log.ts';
import { encodeGlobalId } from '../ids.ts';
import { connectionFromPage, parsePage } from '../schema/pagination.ts';
import { builder } from './builder.ts';
import { forwardArguments } from './pagination.ts';

const AuditEntry = builder.objectRef<AuditEntryRow>('AuditEntry').implement({
  description: 'An action of an operator.',
  fields: (t) => ({
    id: t.id({
      description: 'Global id, for example `AuditEntry:3`.',
      resolve: ({ id }) => encodeGlobalId('AuditEntry', id),
    }),
    at: t.expose('at', {
      type: 'DateTime',
      description: 'Time of the action, by the clock of the database.',
    }),
    action: t.exposeString('action', { description: 'The mutation, for example `revokeSessions`.' }),
    arguments: t.expose('arguments', {
      type: 'JSON',
      description: 'The arguments of the mutation, without the reason. Long texts are cut.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'The reason that the operator gave; null without one.',
    }),
    address: t.exposeString('address', { description: 'The network address of the operator.' }),
    node: t.exposeString('nodeId', { description: 'The id of the node that received the request.' }),
    nodeName: t.exposeString('nodeName', {
      nullable: true,
      description: 'The `NODE_NAME` of that node; null without one.',
    }),
    outcome: t.exposeString('outcome', {
      nullable: true,
      description:
        '`OK`, or the code of the error. Null while the action runs, and if its node stopped before the end: it may then have happened.',
    }),
  }),
});

const AuditLogConnection = builder.connectionObject(
  { type: AuditEntry, name: 'AuditLogConnection', description: 'A page of the audit log, newest first.' },
  { description: 'An edge in a connection: an entry of the audit log.' },
);

builder.queryField('auditLog', (t) =>
  t.field({
    type: AuditLogConnection,
    description:
      'The actions of operators on all nodes, newest first. Errors: INVALID_INPUT, LIMIT_EXCEEDED.',
    args: forwardArguments,
    resolve: async (_root, args, { deps }) => {
      const { after: before, size } = parsePage('AuditEntry', args);
      const { entries, hasMore } = await readAuditLog(deps, { before, size });
      return connectionFromPage('AuditEntry', entries, {
        hasNextPage: hasMore,
        hasPreviousPage: before !== undefined,
      });
    },
  }),
);
