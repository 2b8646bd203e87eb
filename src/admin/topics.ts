import { listTopics } from '../domain/live-connections.ts';
import type { TopicCount as TopicCountSource } from '../domain/live-connections.ts';
import { parsePageSize } from '../schema/pagination.ts';
import { builder } from './builder.ts';

const TopicCount = builder.objectRef<TopicCountSource>('TopicCount').implement({
  description: 'The number of readers of a topic.',
  fields: (t) => ({
    topic: t.exposeString('topic', {
      description: 'The topic, as in log lines: `conversation:3`, `circle:3`, `user:3` or `device:3`.',
    }),
    readers: t.exposeInt('readers', {
      description: 'Its open subscriptions, and the Socket.IO clients in its room.',
    }),
  }),
});

builder.queryField('topics', (t) =>
  t.field({
    type: [TopicCount],
    description:
      'The topics with the most readers, on all nodes that reply within 2 s, in descending order. Errors: INVALID_INPUT, LIMIT_EXCEEDED.',
    args: {
      first: t.arg.int({ description: 'Number of topics, 0 to 100; default 20. LIMIT_EXCEEDED above 100.' }),
    },
    resolve: async (_root, args, { deps }) => [...(await listTopics(deps, parsePageSize(args)))],
  }),
);
