/** A constant of the model, and where it comes from. */
interface Cost {
  readonly value: number;
  readonly unit: 'µs' | 'ms' | 'MB' | 'KB' | 'bytes';
  readonly of: string;
  /** `fitted` constants are chosen so that the simulation reproduces the source; `assumed` ones have no measurement. */
  readonly kind: 'measured' | 'fitted' | 'assumed';
  readonly source: string;
}

const measured = (value: number, unit: Cost['unit'], of: string, source: string): Cost => ({
  value,
  unit,
  of,
  kind: 'measured',
  source,
});
const fitted = (value: number, unit: Cost['unit'], of: string, source: string): Cost => ({
  ...measured(value, unit, of, source),
  kind: 'fitted',
});
const assumed = (value: number, unit: Cost['unit'], of: string, source: string): Cost => ({
  ...measured(value, unit, of, source),
  kind: 'assumed',
});

const BUS = '[0033](decisions/0033-sharded-bus.md)';

/** The constants of the capacity model, in CPU time unless the unit or `of` says otherwise. docs/scaling.md prints them. */
export const COSTS = {
  send: fitted(215, 'µs', 'node, per message', '`sends`, 200 senders'),
  batch: fitted(1_200, 'µs', 'node, per batch of messages', '`sends`, 1 and 10 senders'),
  wake: fitted(60, 'µs', 'node, each time it has been idle', '`sends`, 1 sender'),
  delivery: measured(13, 'µs', 'node, per delivery', '`fan-out`, 1,000 subscribers'),
  publish: fitted(
    165,
    'µs',
    'node, per message, if there are other nodes',
    `\`cluster\`, NOTIFY; 55 alone: ${BUS}`,
  ),
  receive: measured(25, 'µs', 'node, per event of another node, with readers', BUS),
  ignore: measured(13, 'µs', 'node, per event without readers, with NOTIFY and thousands of topics', BUS),
  connect: measured(700, 'µs', 'node, per connection: handshake, token, subscription', '`connect-storm`'),
  initialQuery: measured(5_900, 'µs', 'node, per initial query of 9 conversations', '`initial-query`'),
  login: measured(34_000, 'µs', 'node, per login with a password, on other threads', '`capacity`'),
  idle: measured(2, 'µs', 'node, per idle connection and second', '`capacity`'),
  connection: measured(25, 'KB', 'node memory, per connection', '`idle-connections`'),
  base: measured(
    420,
    'MB',
    'node memory without clients, 250 of it garbage',
    '[memory](operations/running.md#memory)',
  ),
  postgresSend: fitted(90, 'µs', 'PostgreSQL, per message', '`cluster`, one node'),
  postgresBatch: fitted(1_000, 'µs', 'PostgreSQL, per batch', '`capacity`, 1 to 200 senders'),
  postgresNodes: fitted(60, 'µs', 'PostgreSQL, per message, if there are several nodes', '`cluster`, NOTIFY'),
  postgresConnect: measured(180, 'µs', 'PostgreSQL, per connection', '`capacity`'),
  postgresQuery: measured(1_260, 'µs', 'PostgreSQL, per initial query', '`capacity`'),
  postgresLogin: measured(2_100, 'µs', 'PostgreSQL, per login with a password', '`capacity`'),
  commit: fitted(0.5, 'ms', 'disk, per flush of the commits that wait', '`sends`, 1 and 10 senders'),
  wal: measured(1_900, 'bytes', 'WAL, per message of 200 characters', '`capacity`'),
  stored: measured(1_250, 'bytes', 'tables and indexes, per message, before any trimming', '`capacity`'),
  notify: measured(35, 'µs', 'PostgreSQL, per event with NOTIFY', BUS),
  redis: measured(5, 'µs', 'Redis, per event and node that receives it', BUS),
  event: measured(900, 'bytes', 'bus, per event and node that receives it', BUS),
  network: assumed(0.05, 'ms', 'network, one way between two servers', 'one data centre'),
  client: fitted(130, 'µs', 'clients of the benches, per send', '`cluster`, one node'),
  clientFrame: assumed(10, 'µs', 'clients of the benches, per delivery', 'a parsed frame'),
} as const satisfies Record<string, Cost>;
